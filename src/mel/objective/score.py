"""Log-probabilities of given tokens, and answers to `Score`: padded batches, and back in the order that was asked for.

Axes: R rows, T target tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mel.objective.rows import RowBatch, pad_rows
from mel.ports import Logprobs
from mel.requests import Score
from mel.types import Row


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreBatch:
    """Padded contexts and targets for one forward pass.

    Args:
        rows: dummies included, which a rank needs that has fewer batches than the others.
        positions: where in the request each row stands, without the dummies.
    """

    rows: RowBatch
    positions: tuple[int, ...]


def token_logprobs(logits_RTV: Float[Tensor, "R T V"], ids_RT: Int[Tensor, "R T"]) -> Float[Tensor, "R T"]:
    """log softmax(logits)[id] per position, in float32, row by row to bound memory."""
    rows = []
    for logits_TV, ids_T in zip(logits_RTV, ids_RT, strict=True):
        scores_TV = logits_TV.float()
        picked_T = scores_TV.gather(-1, ids_T[:, None]).squeeze(-1)
        rows.append(picked_T - scores_TV.logsumexp(-1))
    return torch.stack(rows)


def score_batches(request: Score, *, pad_id: int, rows_per_batch: int, most: int | None = None) -> list[ScoreBatch]:
    """The request in batches of like length, longest first; targets without tokens need none.

    Args:
        most: the largest number of targets in any rank's request: every rank then gets the same number of batches,
            and thus makes the same number of forward passes. None: there are no other ranks.

    Raises:
        ValueError: as many contexts as targets are expected, each context with a token, and no more than `most`.
    """
    pairs = list(zip(request.contexts, request.targets, strict=True))
    most = len(pairs) if most is None else most
    if len(pairs) > most:
        raise ValueError(f"expected at most {most} targets, the most of any rank; got {len(pairs)}")
    scored = sorted((i for i, (_, target) in enumerate(pairs) if target), key=lambda i: -sum(map(len, pairs[i])))
    batches = []
    for start in range(0, most, rows_per_batch):
        positions = tuple(scored[start : start + rows_per_batch])
        rows = [Row(context_ids=pairs[i][0], target_ids=pairs[i][1]) for i in positions]
        padded = pad_rows(rows, [1.0] * len(rows), pad_id=pad_id, count=max(len(rows), 1), term="nll")
        batches.append(ScoreBatch(rows=padded, positions=positions))
    return batches


def in_order(request: Score, batches: Sequence[ScoreBatch], logps: Sequence[Tensor]) -> list[Logprobs]:
    """The answer to the request: one tuple per target, with one value per token.

    Args:
        batches: of `score_batches` for that request.
        logps: per batch the log-probabilities (R, T) of its targets.
    """
    found: list[Logprobs] = [()] * len(request.targets)
    for batch, logp_RT in zip(batches, logps, strict=True):
        for i, logp_T in zip(batch.positions, logp_RT.tolist(), strict=False):
            found[i] = tuple(logp_T[: len(request.targets[i])])
    return found
