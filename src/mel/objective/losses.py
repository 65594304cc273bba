"""The loss of rows, and its scale when a host averages over ranks and sums over accumulated micro-steps.

Axes: R rows, T target tokens.
"""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor


def row_loss(
    logp_RT: Float[Tensor, "R T"], target_RT: Bool[Tensor, "R T"], scale_R: Float[Tensor, " R"]
) -> Float[Tensor, ""]:
    """Negative log-likelihood of the targets, each row's token sum times its scale (eq. 7 with `pad_rows`' scale).

    A position outside the mask contributes exactly zero, to the value and to the gradient, whatever its logp.

    Args:
        logp_RT: log-probability (nats) of each target token given what precedes it.
        target_RT: True on target tokens.
        scale_R: weight over the denominator that the row shares with all rows of its term.
    """
    return -(logp_RT.masked_fill(~target_RT, 0.0).sum(1) * scale_R).sum()


def micro_step_factor(*, num_ranks: int, num_slots: int, accumulation: int) -> float:
    """P * S / A: makes summed, rank-averaged micro-losses the mean over the rows of a generation batch.

    The rows of a generation batch lie in S slots (micro-steps), on P ranks; their scales hold the denominator
    over all of them. The host averages gradients over ranks (hence P) and adds those of A micro-steps to one
    optimizer step, so A of S slots stand for the whole (hence S / A).
    """
    return num_ranks * num_slots / accumulation


def mean_nll_R(logp_RT: Float[Tensor, "R T"], target_RT: Bool[Tensor, "R T"]) -> Float[Tensor, " R"]:
    """Mean negative log-likelihood (nats per token) of each row's targets; 0 for a row without any."""
    total_R = logp_RT.masked_fill(~target_RT, 0.0).sum(1)
    return -total_R / target_RT.sum(1).clamp(min=1)
