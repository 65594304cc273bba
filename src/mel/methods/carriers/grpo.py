"""GRPO (arXiv 2402.03300): rewards normalized within their group."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import ClassVar

from mel.methods.declaration import CarrierSettings, Surroundings
from mel.ports import Carrier
from mel.types import Group

EPSILON = 1e-4
"""Added to the standard deviation, as TRL does; it also keeps groups of equal rewards at zero."""


class GrpoSettings(CarrierSettings):
    """Nothing to set."""

    name: ClassVar[str] = "grpo"
    surrogate: ClassVar[str] = "grpo"

    def build(self, at: Surroundings | None) -> Carrier:
        return Grpo()


class Grpo:
    """A_i = (r_i - mean r) / (std r + 1e-4), mean over a rollout's tokens, then over rollouts (eq. 10, first term)."""

    name = GrpoSettings.name
    surrogate = GrpoSettings.surrogate
    needs_whole_batch = False

    def advantages(self, groups: Sequence[Group]) -> list[list[float]]:
        return [normalized(group.rewards) for group in groups]


def normalized(rewards: Sequence[float]) -> list[float]:
    """Centered rewards over their sample standard deviation; zeros for a group of one."""
    if len(rewards) < 2:
        return [0.0] * len(rewards)
    mean, spread = fmean(rewards), stdev(rewards)
    return [(reward - mean) / (spread + EPSILON) for reward in rewards]
