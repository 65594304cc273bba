"""Rows of a generation batch laid into the slots (micro-steps) that will learn them."""

from __future__ import annotations

from collections.abc import Sequence

from mel.objective.rows import Reduction, RowBatch, Totals, pad_rows, spread
from mel.types import Row


def lay_out(
    rows: Sequence[Row], *, most: int, totals: Totals, num_slots: int, pad_id: int, reduction: Reduction
) -> list[RowBatch | None]:
    """One batch per slot, of the same size on every rank; None for a slot without rows on any rank.

    Long rows come first and are dealt out in turn, so that slots cost alike and the rows that share a backward
    pass are of like length.

    Args:
        rows: of this rank.
        most: the largest number of rows of any rank; a rank with fewer fills up with dummies.
        totals: denominators over all ranks.
    """
    ordered = sorted(rows, key=lambda row: len(row.context_ids) + len(row.target_ids), reverse=True)
    return [
        pad_rows(ordered[slot::num_slots], totals, pad_id=pad_id, count=count, reduction=reduction) if count else None
        for slot, count in enumerate(spread(most, num_slots))
    ]
