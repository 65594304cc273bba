"""The shipped policies: one directory a world, checked before use. Imports no torch."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

from mel.record.provenance import sha256_of

WEIGHTS = "model.safetensors"
CARD = "miniature.json"


def worlds() -> list[int]:
    """Seeds of the worlds whose policy is in this package."""
    return sorted(int(d.name.removeprefix("world")) for d in _root().glob("world*") if (d / CARD).is_file())


def path(world: int = 0) -> Path:
    """The model directory of that world's policy.

    Raises:
        ValueError: no policy of that world is shipped, or its weights are not the ones its card names.
    """
    directory = _root() / f"world{world}"
    if world not in worlds():
        shipped = ", ".join(map(str, worlds()))
        raise ValueError(
            f"no policy of world {world} is shipped (there are: {shipped}); build one with "
            f"`mel miniature build DIRECTORY --world {world}`"
        )
    check(directory)
    return directory


def check(directory: Path) -> None:
    """Check that the weights in ``directory`` are those that its card was written for.

    Raises:
        ValueError: they are not, with both sums.
    """
    expected = json.loads((directory / CARD).read_text(encoding="utf-8"))["sha256"]
    got = sha256_of(directory / WEIGHTS)
    if got != expected:
        raise ValueError(
            f"{directory / WEIGHTS}: expected sha256 {expected} as in {CARD}, got {got}; the file is damaged or was "
            "changed: install the package again or rebuild the policy with `mel miniature build`"
        )


def _root() -> Path:
    return Path(str(resources.files(__name__)))
