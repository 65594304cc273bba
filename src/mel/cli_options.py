"""Options that commands of several files share, and what their values must be."""

from __future__ import annotations

from typing import Annotated, Any

import typer

Changes = Annotated[
    list[str] | None, typer.Option("--set", help="Change a key of the recipe: section.key=value. Repeatable.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs; everything else goes to stderr.")]


def seed_option(about: str) -> Any:
    """An option whose value every random stream takes as a seed.

    Args:
        about: its help.
    """
    return typer.Option(min=0, max=2**32 - 1, help=about)


def positive(value: float) -> float:
    """The value, if it is above 0."""
    if not 0.0 < value < float("inf"):
        raise typer.BadParameter(f"expected a number above 0, got {value:g}")
    return value
