"""What ranks tell each other: a port that a host fills, and the one rank of a run without others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

T = TypeVar("T")


class Ranks(Protocol):
    """Every rank makes the same calls in the same order, whatever its groups hold."""

    index: int

    def all_of(self, value: T) -> list[T]:
        """Every rank's value, in rank order, on every rank."""
        ...

    def on_main(self, value: T) -> list[T]:
        """Every rank's value, in rank order, on the main rank; nothing on the others."""
        ...


class Alone:
    """One process and no others."""

    index = 0

    def all_of(self, value: T) -> list[T]:
        """The value alone."""
        return [value]

    def on_main(self, value: T) -> list[T]:
        """The value alone."""
        return [value]


def sum_counts(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Sums per key; a key that only some parts have counts as 0 in the others."""
    total: Counter[str] = Counter()
    for part in parts:
        for key, value in part.items():
            total[key] += value  # type: ignore[assignment]
    return dict(total)
