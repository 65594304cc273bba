"""Implicit process rewards: a log-ratio that is trained to tell right solutions from wrong (PRIME, 2502.01456).

Axes: R rows, T target tokens.
"""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def implicit_rewards(
    logp_RT: Float[Tensor, "R T"], initial_logp_RT: Float[Tensor, "R T"], target_RT: Bool[Tensor, "R T"], *, beta: float
) -> Float[Tensor, "R T"]:
    """r_t = beta * (log phi - log initial) of each target token, 0 elsewhere.

    Args:
        logp_RT: log-probabilities (nats) under the weights phi that are learned.
        initial_logp_RT: the same before training; carries no gradient.
    """
    return beta * (logp_RT - initial_logp_RT) * target_RT


def outcome_loss(reward_RT: Float[Tensor, "R T"], right_R: Float[Tensor, " R"]) -> Float[Tensor, ""]:
    """Sum over rows of the cross-entropy between an outcome and sigmoid(sum of the rewards of its tokens).

    Args:
        right_R: 1 for a right solution, 0 for a wrong one.
    """
    return binary_cross_entropy_with_logits(reward_RT.sum(1), right_R, reduction="sum")
