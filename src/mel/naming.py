"""Names that a person gives: refused if nobody has them, with a hint which valid one was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest valid word, empty if none is near."""
    near = difflib.get_close_matches(word, list(valid), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def known(name: object, table: Iterable[str], what: str) -> str:
    """`name` if the table has it.

    Raises:
        ValueError: it has not; the nearest name is suggested.
    """
    names = sorted(table)
    if isinstance(name, str) and name in names:
        return name
    raise ValueError(f"{what}: expected one of {', '.join(names)}, got {name!r}{did_you_mean(str(name), names)}")
