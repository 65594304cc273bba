"""The loss of rows (`mel.objective.distill` has that of ``distill``), and its scale under ranks and accumulation.

Axes: R rows, T target tokens.
"""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from mel.objective.surrogates import Level, Surrogate, clipped


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


def policy_loss(
    logp_RT: Float[Tensor, "R T"],
    old_logp_RT: Float[Tensor, "R T"] | None,
    advantages_RT: Float[Tensor, "R T"],
    sampled_RT: Bool[Tensor, "R T"],
    scale_R: Float[Tensor, " R"],
    *,
    epsilon_low: float,
    epsilon_high: float,
    level: Level,
    surrogate: Surrogate = clipped,
    correction_RT: Float[Tensor, "R T"] | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The surrogate of sampled tokens, each row's sum times its scale, and the share of them that was clipped.

    A token that was given and not sampled contributes exactly zero, to the value and to the gradient, and counts in
    no mean: neither in that of the ratio at level ``sequence`` nor in the share.

    Args:
        old_logp_RT: log-probabilities (nats) under the policy that sampled; None: it is the current one.
        sampled_RT: True on the tokens that the policy sampled.
        scale_R: weight over the denominator, as the host's loss type divides: by the row's number of sampled tokens
            and the number of rows (``grpo``), by all sampled tokens (``dapo``), by rows times the longest completion
            allowed (``dr_grpo``).
        epsilon_low, epsilon_high: the trust region around a ratio of 1.
        correction_RT: multiplies each token's surrogate, where the engine that sampled differs from the trainer.
    """
    old_logp_RT = logp_RT.detach() if old_logp_RT is None else old_logp_RT
    loss_RT, clipped_RT = surrogate(
        logp_RT, old_logp_RT, advantages_RT, sampled_RT, epsilon_low=epsilon_low, epsilon_high=epsilon_high, level=level
    )
    if correction_RT is not None:
        loss_RT = loss_RT * correction_RT
    share = clipped_RT.sum() / sampled_RT.sum().clamp(min=1)
    return (loss_RT.sum(1) * scale_R).sum(), share


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
