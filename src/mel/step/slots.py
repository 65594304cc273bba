"""Rows of a generation batch: their denominators over all ranks, and the slots (micro-steps) that will learn them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mel.step.learning import Reduction
from mel.types import Row, Term

Key = tuple[str, Term]
"""Auxiliary and term: rows that share a denominator, a weight and a backward pass. Rows of the policy loss itself, that
is of rollouts which the host did not sample, have no auxiliary."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """Denominators of one generation batch.

    Args:
        rows: number of rows.
        tokens: number of target tokens.
        most: the largest number of rows of any rank: each rank fills up to it with dummies.
    """

    rows: Mapping[Key, int] = field(default_factory=dict)
    tokens: Mapping[Key, int] = field(default_factory=dict)
    most: Mapping[Key, int] = field(default_factory=dict)

    @property
    def num_rows(self) -> int:
        return sum(self.rows.values())

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Totals:
        """The counts of one rank's rows."""
        counts: Counter[Key] = Counter()
        tokens: Counter[Key] = Counter()
        for row in rows:
            counts[key_of(row)] += 1
            tokens[key_of(row)] += len(row.target_ids)
        return cls(rows=dict(counts), tokens=dict(tokens), most=dict(counts))

    @classmethod
    def sum(cls, parts: Sequence[Totals]) -> Totals:
        """The counts of all ranks, with the keys in one order on all of them."""
        keys = sorted({key for part in parts for key in part.rows})
        return cls(
            rows={key: sum(part.rows.get(key, 0) for part in parts) for key in keys},
            tokens={key: sum(part.tokens.get(key, 0) for part in parts) for key in keys},
            most={key: max(part.most.get(key, 0) for part in parts) for key in keys},
        )

    def scale(self, row: Row, reduction: Reduction) -> float:
        """What the summed token loss of a row is multiplied by: its weight over the denominator."""
        key = key_of(row)
        if reduction == "token":
            return row.weight / self.tokens[key]
        return row.weight / (len(row.target_ids) * self.rows[key])


def key_of(row: Row) -> Key:
    """Which rows it shares a denominator with."""
    return (row.auxiliary, row.term)


def spread(num_rows: int, num_slots: int) -> list[int]:
    """How many rows each slot takes so that they differ by at most one, the earlier slots first.

    >>> spread(5, 2)
    [3, 2]
    """
    return [(num_rows - slot + num_slots - 1) // num_slots for slot in range(num_slots)]


def lay_out(rows: Iterable[Row], *, num_slots: int) -> list[list[Row]]:
    """The rows of one key that each slot learns.

    Long rows come first and are dealt out in turn, so that slots cost alike and the rows that share a backward pass
    are of like length.
    """
    ordered = sorted(rows, key=lambda row: len(row.context_ids) + len(row.target_ids), reverse=True)
    return [ordered[slot::num_slots] for slot in range(num_slots)]
