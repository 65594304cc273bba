"""Surrogates of the policy gradient by name: what a sampled token adds to the loss, given how its probability moved.

Every surrogate has the signature of `Surrogate`, so that another one is one function and one line in `SURROGATES`.

Axes: R rows, T target tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Level = Literal["token", "sequence"]
"""Whose probability ratio counts: each token's own, or of all tokens of a row their geometric mean (GSPO)."""


@runtime_checkable
class Surrogate(Protocol):
    """Turns log-probabilities (nats) and advantages into a loss per token, lower being better."""

    def __call__(
        self,
        logp_RT: Float[Tensor, "R T"],
        old_logp_RT: Float[Tensor, "R T"],
        advantages_RT: Float[Tensor, "R T"],
        mask_RT: Bool[Tensor, "R T"],
        *,
        epsilon_low: float,
        epsilon_high: float,
        level: Level,
    ) -> tuple[Float[Tensor, "R T"], Bool[Tensor, "R T"]]:
        """The loss of every token, and where clipping stopped its gradient; 0 and False outside the mask.

        Args:
            logp_RT: under the policy being trained.
            old_logp_RT: under the policy that sampled; carries no gradient.
            mask_RT: True on sampled tokens. Elsewhere nothing reaches value or gradient, whatever stands there.
            epsilon_low, epsilon_high: the trust region around a ratio of 1.
        """
        ...


def clipped(
    logp_RT: Float[Tensor, "R T"],
    old_logp_RT: Float[Tensor, "R T"],
    advantages_RT: Float[Tensor, "R T"],
    mask_RT: Bool[Tensor, "R T"],
    *,
    epsilon_low: float,
    epsilon_high: float,
    level: Level,
) -> tuple[Float[Tensor, "R T"], Bool[Tensor, "R T"]]:
    """-min(r A, clip(r, 1 - epsilon_low, 1 + epsilon_high) A): PPO, GRPO and, at level ``sequence``, GSPO.

    With the arithmetic of TRL's `GRPOTrainer._compute_loss`, so that a row learned here and a rollout learned there
    get the same gradient. Source: arXiv 1707.06347, 2402.03300, 2507.18071.
    """
    ratio_RT = log_ratio(logp_RT, old_logp_RT, mask_RT, level=level).exp()
    advantages_RT = advantages_RT.masked_fill(~mask_RT, 0.0)
    trusted_RT = ratio_RT.clamp(1 - epsilon_low, 1 + epsilon_high)
    loss_RT = -torch.min(ratio_RT * advantages_RT, trusted_RT * advantages_RT)
    is_low_RT = (ratio_RT < 1 - epsilon_low) & (advantages_RT < 0)
    is_high_RT = (ratio_RT > 1 + epsilon_high) & (advantages_RT > 0)
    return loss_RT.masked_fill(~mask_RT, 0.0), (is_low_RT | is_high_RT) & mask_RT


SURROGATES: Mapping[str, Surrogate] = {"clipped": clipped}
"""Name -> surrogate."""


def log_ratio(
    logp_RT: Float[Tensor, "R T"], old_logp_RT: Float[Tensor, "R T"], mask_RT: Bool[Tensor, "R T"], *, level: Level
) -> Float[Tensor, "R T"]:
    """log(p / p_old) of each token; at level ``sequence`` its mean over a row's sampled tokens, at each of them."""
    log_ratio_RT = (logp_RT - old_logp_RT.detach()).masked_fill(~mask_RT, 0.0)
    if level == "token":
        return log_ratio_RT
    mean_R1 = log_ratio_RT.sum(1, keepdim=True) / mask_RT.sum(1, keepdim=True).clamp(min=1)
    return mean_R1.expand_as(logp_RT)
