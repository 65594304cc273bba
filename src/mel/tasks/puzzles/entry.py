"""The noun of puzzles: one question with what scores its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One puzzle.

    Args:
        question: as its data set words it.
        answer: an answer that scores 1; empty if the data set has none at hand.
        metadata: what else the data set knows of it, in its own types.
    """

    question: str
    answer: str
    metadata: Mapping[str, Any]


class Source(Protocol):
    """A data set with its configuration and its seed: item i is a function of these and i."""

    def entry(self, index: int) -> Entry:
        """The item of that index."""
        ...

    def score(self, answer: str, entry: Entry) -> float:
        """1 for a right answer, less for any other."""
        ...
