"""Rows as tensors: padded batches, dummy rows, and their spread over the micro-steps of a generation batch.

Axes: R rows, C context tokens, T target tokens, L = C + T.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mel.types import Row

Reduction = Literal["row", "token"]
"""`row`: mean over a row's tokens, then over rows (eq. 7). `token`: mean over the tokens of all rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """Denominators over all ranks of one generation batch, one per term.

    Args:
        rows: number of rows per term.
        tokens: number of target tokens per term.
    """

    rows: Mapping[str, int]
    tokens: Mapping[str, int]

    @property
    def num_rows(self) -> int:
        return sum(self.rows.values())

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Totals:
        """The counts of one rank's rows."""
        counts: Counter[str] = Counter()
        tokens: Counter[str] = Counter()
        for row in rows:
            counts[row.term] += 1
            tokens[row.term] += len(row.target_ids)
        return cls(rows=dict(counts), tokens=dict(tokens))

    @classmethod
    def sum(cls, parts: Sequence[Totals]) -> Totals:
        """The counts of all ranks."""
        rows: Counter[str] = Counter()
        tokens: Counter[str] = Counter()
        for part in parts:
            rows.update(part.rows)
            tokens.update(part.tokens)
        return cls(rows=dict(rows), tokens=dict(tokens))


@dataclass(frozen=True, kw_only=True, slots=True)
class RowBatch:
    """Padded rows: context on the left of column C, targets on its right, as TRL lays out rollouts.

    Args:
        ids_RL: token ids; padding is outside the attention mask.
        attention_RL: 1 on tokens, 0 on padding.
        target_RT: True on the target tokens among the last T columns; False everywhere in a dummy row.
        scale_R: what a row's summed token loss is multiplied by; 0 for a dummy row.
        is_nll_R: True for a real row of term `nll`, for the logged mean.
    """

    ids_RL: Int[Tensor, "R L"]
    attention_RL: Int[Tensor, "R L"]
    target_RT: Bool[Tensor, "R T"]
    scale_R: Float[Tensor, " R"]
    is_nll_R: Bool[Tensor, " R"]

    @property
    def num_rows(self) -> int:
        """Rows of the batch, dummies included."""
        return self.ids_RL.size(0)

    @property
    def num_targets(self) -> int:
        """T, the width of the target block."""
        return self.target_RT.size(1)

    def to(self, device: torch.device | str) -> RowBatch:
        """The same batch on another device."""
        return RowBatch(
            ids_RL=self.ids_RL.to(device),
            attention_RL=self.attention_RL.to(device),
            target_RT=self.target_RT.to(device),
            scale_R=self.scale_R.to(device),
            is_nll_R=self.is_nll_R.to(device),
        )

    def chunks(self, size: int) -> list[RowBatch]:
        """The batch cut into pieces of at most `size` rows, each trimmed to its own longest context and target."""
        return [self._rows(slice(start, start + size)) for start in range(0, self.num_rows, size)]

    def _rows(self, which: slice) -> RowBatch:
        context = self.attention_RL.size(1) - self.num_targets
        attention = self.attention_RL[which]
        left = context - int(attention[:, :context].sum(1).max()) if context else 0
        right = int(attention[:, context:].sum(1).max())
        return RowBatch(
            ids_RL=self.ids_RL[which, left : context + right],
            attention_RL=attention[:, left : context + right],
            target_RT=self.target_RT[which, :right],
            scale_R=self.scale_R[which],
            is_nll_R=self.is_nll_R[which],
        )


def pad_rows(rows: Sequence[Row], totals: Totals, *, pad_id: int, count: int, reduction: Reduction) -> RowBatch:
    """`count` padded rows: those given, then dummies, which have no target and thus exactly zero gradient.

    A dummy is two valid tokens, for a row without any attention could give NaN; it keeps the number of forward
    passes equal on all ranks, which sharded models need.

    Args:
        totals: denominators over all ranks.
        pad_id: any valid token id.

    Raises:
        ValueError: a row without context or without targets, or more rows than `count`.
    """
    if len(rows) > count:
        raise ValueError(f"expected at most {count} rows, got {len(rows)}")
    for row in rows:
        if not row.context_ids or not row.target_ids:
            raise ValueError(
                f"a row needs at least one context and one target token; got {len(row.context_ids)} and "
                f"{len(row.target_ids)}"
            )
    dummy = Row(context_ids=(pad_id,), target_ids=(pad_id,), weight=0.0)
    padded = [*rows, *[dummy] * (count - len(rows))]
    context = max(len(row.context_ids) for row in padded)
    targets = max(len(row.target_ids) for row in padded)
    ids = torch.full((count, context + targets), pad_id, dtype=torch.long)
    attention = torch.zeros_like(ids)
    for i, row in enumerate(padded):
        tokens = row.context_ids + row.target_ids
        start = context - len(row.context_ids)
        ids[i, start : start + len(tokens)] = torch.tensor(tokens)
        attention[i, start : start + len(tokens)] = 1
    is_real = torch.arange(count) < len(rows)
    return RowBatch(
        ids_RL=ids,
        attention_RL=attention,
        target_RT=attention[:, context:].bool() & is_real[:, None],
        scale_R=torch.tensor([_scale(row, totals, reduction) for row in rows] + [0.0] * (count - len(rows))),
        is_nll_R=torch.tensor([row.term == "nll" for row in rows] + [False] * (count - len(rows))),
    )


def spread(num_rows: int, num_slots: int) -> list[int]:
    """How many rows each slot takes so that they differ by at most one, the earlier slots first.

    >>> spread(5, 2)
    [3, 2]
    """
    return [(num_rows - slot + num_slots - 1) // num_slots for slot in range(num_slots)]


def _scale(row: Row, totals: Totals, reduction: Reduction) -> float:
    if reduction == "token":
        return row.weight / totals.tokens[row.term]
    return row.weight / (len(row.target_ids) * totals.rows[row.term])
