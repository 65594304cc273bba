"""Names that a person gives: refused if nobody has them, with a hint which valid one was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable


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


def comma_separated(words: str, *, is_one: Callable[[str], bool]) -> list[str]:
    """The words between commas; as many parts as can be taken for `is_one` together are one, such as a path."""
    parts = words.split(",")
    found: list[str] = []
    while parts:
        ends = (end for end in range(len(parts), 1, -1) if is_one(",".join(parts[:end])))
        end = next(ends, 1)
        found.append(",".join(parts[:end]).strip())
        del parts[:end]
    return found
