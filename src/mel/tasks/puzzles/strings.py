"""Steps of puzzles that go through fixed states: each step must state the next one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from mel.tasks.puzzles.entry import Entry

_WORD = re.compile(r"[a-z]+")


def first_wrong_string(entry: Entry, steps: Sequence[str]) -> int | None:
    """Of string manipulation: a step is the string after one rule, or `empty`."""
    return _first_other(steps, entry.metadata["states"][1:], lambda s: "" if s in ("empty", "(empty)") else s)


def first_wrong_counts(entry: Entry, steps: Sequence[str]) -> int | None:
    """Of string splitting and synthesis: a step is the counts after one rule."""
    wanted = [" ".join(map(str, state)) for state in entry.metadata["states"][1:]]
    return _first_other(steps, wanted, lambda s: " ".join(re.findall(r"\d+", s)))


def first_wrong_word(entry: Entry, steps: Sequence[str]) -> int | None:
    """Of modus ponens: a step ends in the word that follows; where it says from which, that must be the one before."""
    chain: list[str] = entry.metadata["chain"]
    for number, (before, word) in enumerate(pairwise(chain), 1):
        if number > len(steps):
            return number
        said = [w for w in _WORD.findall(steps[number - 1].lower()) if w in chain or w == word]
        is_right = _WORD.findall(steps[number - 1].lower())[-1:] == [word] and said in ([word], [before, word])
        if not is_right:
            return number
    return len(chain) if len(steps) >= len(chain) else None


def _first_other(steps: Sequence[str], wanted: Sequence[str], read: Callable[[str], str]) -> int | None:
    """The first step that does not read as wanted; a missing or surplus step counts as one."""
    for number, (step, state) in enumerate(zip(steps, wanted, strict=False), 1):
        if read(step) != state:
            return number
    return None if len(steps) == len(wanted) else min(len(steps), len(wanted)) + 1
