"""The hint behind every refusal of an unknown name: which valid one was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest valid word, empty if none is near."""
    near = difflib.get_close_matches(word, list(valid), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
