"""The loss of ``distill`` rows: how far the student's distribution is from its teacher's at each target.

Axes: R rows, T target tokens, V vocabulary, N positions that are compared together, K classes.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mel.types import Divergence

POSITIONS = 256
"""Positions compared at once: bounds the float32 copies, to about 0.15 GB each at a vocabulary of 150,000."""


def distill_loss(
    student_logits_RTV: Float[Tensor, "R T V"],
    teacher_logits_RTV: Float[Tensor, "R T V"],
    target_RT: Bool[Tensor, "R T"],
    scale_R: Float[Tensor, " R"],
    *,
    divergence: Divergence,
    top_k: int | None,
) -> Float[Tensor, ""]:
    """The divergence at every target, each row's sum times its scale. The teacher gets no gradient.

    Args: as for `divergence_R`.
        scale_R: weight over the denominator that the row shares with all rows of its term.
    """
    sums_R = divergence_R(student_logits_RTV, teacher_logits_RTV, target_RT, divergence=divergence, top_k=top_k)
    return (sums_R * scale_R).sum()


def divergence_R(
    student_logits_RTV: Float[Tensor, "R T V"],
    teacher_logits_RTV: Float[Tensor, "R T V"],
    target_RT: Bool[Tensor, "R T"],
    *,
    divergence: Divergence,
    top_k: int | None,
) -> Float[Tensor, " R"]:
    """Sum (nats) over each row's targets of the divergence between student and teacher, computed in float32.

    Nothing of the size of the logits is kept for the backward pass but the logits: a few positions are compared at a
    time, and once more when their gradient is due.

    Args:
        student_logits_RTV: for each target the logits that predict it, that is those of the position before.
        teacher_logits_RTV: likewise, after the teacher's context; no gradient flows into them.
        target_RT: True on target tokens. Elsewhere nothing reaches value or gradient, whatever stands there.
        divergence: ``forward_kl`` KL(teacher || student), ``reverse_kl`` KL(student || teacher) or ``jsd``.
        top_k: compare the teacher's k likeliest tokens and all others as one class; None: the whole vocabulary.

    Raises:
        ValueError: a `top_k` below 1.
    """
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k: expected at least 1 token, or None for the whole vocabulary; got {top_k}")
    sums = []
    rows = zip(student_logits_RTV, teacher_logits_RTV.detach(), target_RT, strict=True)
    for row in rows:
        # `split` of a row that `unbind` gave: their gradients are put together once, not added up piece by piece.
        pieces = zip(*(part.split(POSITIONS) for part in row), strict=True)
        parts = [
            checkpoint(_sum_of_targets, *piece, divergence, top_k, use_reentrant=False, preserve_rng_state=False)
            for piece in pieces
        ]
        sums.append(torch.stack(parts).sum())
    return torch.stack(sums)


def _sum_of_targets(
    student_NV: Tensor, teacher_NV: Tensor, target_N: Tensor, divergence: Divergence, top_k: int | None
) -> Tensor:
    student, teacher = _precise(student_NV[target_N]), _precise(teacher_NV[target_N])
    return _divergence(*_classes(student, teacher, top_k), divergence).sum()


def _classes(
    student_NV: Float[Tensor, "N V"], teacher_NV: Float[Tensor, "N V"], top_k: int | None
) -> tuple[Float[Tensor, "N K"], Float[Tensor, "N K"]]:
    """Log-probabilities of student and teacher over the same classes, the tail being the last one."""
    if top_k is None or top_k >= student_NV.size(-1):
        return student_NV.log_softmax(-1), teacher_NV.log_softmax(-1)
    likeliest_NK = teacher_NV.topk(top_k, dim=-1).indices
    return _with_tail(student_NV, likeliest_NK), _with_tail(teacher_NV, likeliest_NK)


def _with_tail(logits_NV: Tensor, chosen_NK: Tensor) -> Tensor:
    # Summed over the others themselves: 1 - sum(chosen) would lose a small tail to rounding.
    tail_N1 = logits_NV.scatter(-1, chosen_NK, -math.inf).logsumexp(-1, keepdim=True)
    classes_NK = torch.cat([logits_NV.gather(-1, chosen_NK), tail_N1], dim=-1)
    return classes_NK.log_softmax(-1)


def _divergence(student_NK: Tensor, teacher_NK: Tensor, divergence: Divergence) -> Tensor:
    """Per position, from log-probabilities."""
    # A class without probability is one of the least probability there is: 0 * (-inf) would be NaN.
    student_NK, teacher_NK = _finite(student_NK), _finite(teacher_NK)
    if divergence == "forward_kl":
        return _kl(teacher_NK, student_NK)
    if divergence == "reverse_kl":
        return _kl(student_NK, teacher_NK)
    middle_NK = torch.logaddexp(student_NK, teacher_NK) - math.log(2)
    return (_kl(teacher_NK, middle_NK) + _kl(student_NK, middle_NK)) / 2


def _kl(of_NK: Tensor, to_NK: Tensor) -> Tensor:
    return (of_NK.exp() * (of_NK - to_NK)).sum(-1)


def _finite(logp_NK: Tensor) -> Tensor:
    return logp_NK.clamp(min=torch.finfo(logp_NK.dtype).min)


def _precise(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
