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


MOST_MOVED = 20.0
"""Largest log-ratio (nats) that a ratio without a clip is made of; beyond it there is no gradient."""


def mass_adaptive(
    logp_RT: Float[Tensor, "R T"],
    old_logp_RT: Float[Tensor, "R T"],
    advantages_RT: Float[Tensor, "R T"],
    mask_RT: Bool[Tensor, "R T"],
    *,
    epsilon_low: float,
    epsilon_high: float,
    level: Level,
    sigma: float = 1.0,
    alpha: float = 0.3,
    beta_positive: float = 0.03,
    beta_negative: float = 0.03,
    most_sigma: float = 10.0,
    least_risk: float = 0.1,
    most_risk: float = 10.0,
) -> tuple[Float[Tensor, "R T"], Bool[Tensor, "R T"]]:
    """-w r A with the soft weight w of MASPO in the place of a clip; at a ratio of 1 it is `clipped`.

    w = exp(-(r - 1)^2 / (2 s^2)) where the token moved the way its advantage wants, else 1; it carries no gradient.
    The width s is larger for tokens that were improbable when sampled (`alpha`), for large positive advantages
    (`beta_positive`), and smaller for large negative ones (`beta_negative`). No token is stopped, so the clip share
    is 0 and the epsilons are not used. Source: arXiv 2602.17550 and the authors' verl code.

    Args:
        sigma: s of a token that had probability 1, at advantage 0.
        most_sigma: bound of the factor by probability, sigma / p_old^alpha.
        least_risk, most_risk: bounds of the factor by advantage, 1 + beta A above 0 and 1 / (1 - beta A) below.
    """
    del epsilon_low, epsilon_high
    moved_RT = log_ratio(logp_RT, old_logp_RT, mask_RT, level=level).clamp(-MOST_MOVED, MOST_MOVED)
    advantages_RT = advantages_RT.masked_fill(~mask_RT, 0.0)
    old_logp_RT = old_logp_RT.detach().masked_fill(~mask_RT, 0.0)
    by_mass_RT = (sigma * (-alpha * old_logp_RT).exp()).clamp(sigma, most_sigma)
    is_up_RT = advantages_RT > 0
    risk_RT = torch.where(is_up_RT, 1 + beta_positive * advantages_RT, 1 / (1 - beta_negative * advantages_RT))
    width_RT = by_mass_RT * risk_RT.clamp(least_risk, most_risk)
    ratio_RT = moved_RT.exp()
    far_RT = (ratio_RT.detach() - 1) / width_RT
    is_damped_RT = (is_up_RT & (far_RT > 0)) | ((advantages_RT < 0) & (far_RT < 0))
    weight_RT = torch.where(is_damped_RT, (-far_RT.square() / 2).exp(), 1.0)
    loss_RT = -weight_RT * ratio_RT * advantages_RT
    return loss_RT.masked_fill(~mask_RT, 0.0), torch.zeros_like(mask_RT)


SURROGATES: Mapping[str, Surrogate] = {"clipped": clipped, "maspo": mass_adaptive}
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
