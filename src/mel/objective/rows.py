"""Rows as tensors: padded batches of one term, with the dummies that keep ranks in step.

Axes: R rows, L all tokens of a padded row, M all tokens of its reference, T target tokens.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mel.types import Divergence, Row, Term, TokenIds


@dataclass(frozen=True, kw_only=True, slots=True)
class RowBatch:
    """Padded rows of one term: contexts end where targets begin, as TRL lays out rollouts.

    The T targets are the last T columns of the ids, and of the reference's ids too. What another term needs is None.

    Args:
        term: of all rows, dummies included.
        auxiliary: whose rows they are; empty where nobody said.
        ids_RL: token ids; padding is outside the attention mask.
        attention_RL: 1 on tokens, 0 on padding.
        target_RT: True on the target tokens among the last T columns; False everywhere in a dummy row.
        scale_R: what a row's summed token loss is multiplied by; 0 for a dummy row.
        advantages_RT: of ``policy`` rows; 0 outside their targets.
        sampled_RT: of ``policy`` rows: True on targets that were sampled, False on given ones, which get no gradient.
        old_logp_RT: of ``policy`` rows: log-probabilities (nats) under the policy that sampled them, put in with
            `dataclasses.replace` by whoever computed them; None: the current ones, without gradient.
        reference_ids_RM: of ``distill`` rows: what the teacher reads, which ends with the same targets.
        reference_attention_RM: of ``distill`` rows: 1 on the teacher's tokens, 0 on padding.
        divergence: of ``distill`` rows: from the teacher's distribution.
        top_k: of ``distill`` rows: how many of the teacher's likeliest tokens are compared; None: all.
    """

    term: Term
    auxiliary: str = ""
    ids_RL: Int[Tensor, "R L"]
    attention_RL: Int[Tensor, "R L"]
    target_RT: Bool[Tensor, "R T"]
    scale_R: Float[Tensor, " R"]
    advantages_RT: Float[Tensor, "R T"] | None = None
    sampled_RT: Bool[Tensor, "R T"] | None = None
    old_logp_RT: Float[Tensor, "R T"] | None = None
    reference_ids_RM: Int[Tensor, "R M"] | None = None
    reference_attention_RM: Int[Tensor, "R M"] | None = None
    divergence: Divergence | None = None
    top_k: int | None = None

    @property
    def num_rows(self) -> int:
        """Rows of the batch, dummies included."""
        return self.ids_RL.size(0)

    @property
    def num_targets(self) -> int:
        """T, the width of the target block."""
        return self.target_RT.size(1)

    @property
    def is_real_R(self) -> Bool[Tensor, " R"]:
        """False for a dummy row."""
        return self.target_RT.any(1)

    def to(self, device: torch.device | str) -> RowBatch:
        """The same batch on another device."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        moved = {name: value.to(device) for name, value in values.items() if isinstance(value, Tensor)}
        return dataclasses.replace(self, **moved)

    def chunks(self, size: int) -> list[RowBatch]:
        """The batch cut into pieces of at most `size` rows, each trimmed to its own longest contexts and target."""
        return [self._rows(slice(start, start + size)) for start in range(0, self.num_rows, size)]

    def _rows(self, which: slice) -> RowBatch:
        own = _columns(self.attention_RL[which], self.num_targets)
        cut: dict[str, Tensor] = {}
        if self.reference_ids_RM is not None and self.reference_attention_RM is not None:
            reference = _columns(self.reference_attention_RM[which], self.num_targets)
            cut["reference_ids_RM"] = self.reference_ids_RM[which, reference]
            cut["reference_attention_RM"] = self.reference_attention_RM[which, reference]
        targets = own.stop - (self.attention_RL.size(1) - self.num_targets)
        for name in ("target_RT", "advantages_RT", "sampled_RT", "old_logp_RT"):
            value = getattr(self, name)
            if value is not None:
                cut[name] = value[which, :targets]
        return dataclasses.replace(
            self,
            ids_RL=self.ids_RL[which, own],
            attention_RL=self.attention_RL[which, own],
            scale_R=self.scale_R[which],
            **cut,
        )


def pad_rows(
    rows: Sequence[Row],
    scales: Sequence[float],
    *,
    pad_id: int,
    count: int,
    term: Term | None = None,
    auxiliary: str | None = None,
) -> RowBatch:
    """`count` padded rows: those given, then dummies, which have no target and thus exactly zero gradient.

    A dummy is two valid tokens, for a row without any attention could give NaN; it keeps the number of forward
    passes equal on all ranks, which sharded models need.

    Args:
        rows: of one term and one auxiliary.
        scales: what each row's summed token loss is multiplied by: its weight over its denominator.
        pad_id: any valid token id.
        term: of the dummies; needed where there are no rows, for the term says which forward passes are made.
        auxiliary: likewise, for the record.

    Raises:
        ValueError: rows of different kinds, a row that its term cannot use, or more rows than `count`.
    """
    if len(rows) > count or len(scales) != len(rows):
        raise ValueError(f"expected at most {count} rows with a scale each, got {len(rows)} and {len(scales)} scales")
    for row in rows:
        _check(row)
    term, auxiliary = _kind(rows, term, auxiliary)
    num_dummies = count - len(rows)
    dummy = Row(context_ids=(pad_id,), target_ids=(pad_id,), advantages=(0.0,), is_sampled=(False,))
    padded = [*rows, *[dummy] * num_dummies]
    targets = [row.target_ids for row in padded]
    ids_RL, attention_RL = _pad([row.context_ids for row in padded], targets, pad_id=pad_id)
    is_real_R = torch.arange(count) < len(rows)
    batch = RowBatch(
        term=term,
        auxiliary=auxiliary,
        ids_RL=ids_RL,
        attention_RL=attention_RL,
        target_RT=attention_RL[:, -max(map(len, targets)) :].bool() & is_real_R[:, None],
        scale_R=torch.tensor([*scales, *[0.0] * num_dummies], dtype=torch.float32),
    )
    if term == "policy":
        return _with_advantages(batch, padded)
    return _with_references(batch, padded, pad_id=pad_id) if term == "distill" else batch


def _check(row: Row) -> None:
    num_targets = len(row.target_ids)
    if not row.context_ids or not num_targets:
        raise ValueError(
            f"a row needs at least one context and one target token; got {len(row.context_ids)} and {num_targets}"
        )
    if row.term == "policy" and not len(row.advantages) == len(row.is_sampled) == num_targets:
        raise ValueError(
            f"a policy row needs `advantages` and `is_sampled` for each of its {num_targets} targets; got "
            f"{len(row.advantages)} and {len(row.is_sampled)}"
        )
    if row.term == "distill" and (row.reference is None or not row.reference.context_ids):
        raise ValueError("a distill row needs a `reference` with at least one context token; got none")


def _kind(rows: Sequence[Row], term: Term | None, auxiliary: str | None) -> tuple[Term, str]:
    terms: set[Term] = set() if term is None else {term}
    terms.update(row.term for row in rows)
    names = {row.auxiliary for row in rows}.union(() if auxiliary is None else (auxiliary,))
    if len(terms) != 1 or len(names) > 1:
        raise ValueError(
            f"the rows of a batch need one term and one auxiliary; got the terms {sorted(terms)} and the auxiliaries "
            f"{sorted(names)}; say the term where there are no rows"
        )
    return terms.pop(), names.pop() if names else ""


def _with_advantages(batch: RowBatch, padded: Sequence[Row]) -> RowBatch:
    advantages_RT = _block([row.advantages for row in padded], dtype=torch.float32)
    sampled_RT = _block([row.is_sampled for row in padded], dtype=torch.bool)
    return dataclasses.replace(batch, advantages_RT=advantages_RT, sampled_RT=sampled_RT & batch.target_RT)


def _with_references(batch: RowBatch, padded: Sequence[Row], *, pad_id: int) -> RowBatch:
    kinds = {(row.reference.divergence, row.reference.top_k) for row in padded if row.reference is not None}
    if len(kinds) > 1:
        raise ValueError(f"the distill rows of a batch need one divergence and one top_k; got {sorted(kinds, key=str)}")
    contexts = [(pad_id,) if row.reference is None else row.reference.context_ids for row in padded]
    ids_RM, attention_RM = _pad(contexts, [row.target_ids for row in padded], pad_id=pad_id)
    divergence, top_k = kinds.pop() if kinds else ("forward_kl", None)
    return dataclasses.replace(
        batch, reference_ids_RM=ids_RM, reference_attention_RM=attention_RM, divergence=divergence, top_k=top_k
    )


def _pad(contexts: Sequence[TokenIds], targets: Sequence[TokenIds], *, pad_id: int) -> tuple[Tensor, Tensor]:
    """Ids and attention, contexts against the left of the target block."""
    ids = [_block(contexts, fill=pad_id, side="left"), _block(targets, fill=pad_id)]
    ones = [[(1,) * len(part) for part in parts] for parts in (contexts, targets)]
    attention = [_block(ones[0], side="left"), _block(ones[1])]
    return torch.cat(ids, dim=1), torch.cat(attention, dim=1)


def _block(
    values: Sequence[Sequence[float] | TokenIds], *, fill: int = 0, side: str = "right", dtype: torch.dtype = torch.long
) -> Tensor:
    tensors = [torch.tensor(value, dtype=dtype) for value in values]
    return pad_sequence(tensors, batch_first=True, padding_value=fill, padding_side=side)


def _columns(attention_RL: Tensor, num_targets: int) -> slice:
    """The columns that any row uses: from where the longest context starts to where the longest target ends."""
    middle = attention_RL.size(1) - num_targets
    context = int(attention_RL[:, :middle].sum(1).max())
    return slice(middle - context, middle + int(attention_RL[:, middle:].sum(1).max()))
