"""REINFORCE++ (arXiv 2501.03262): advantages whitened over the whole batch, as published or with a group baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import ClassVar, Literal, TypeVar

from pydantic import Field

from mel.methods.declaration import CarrierSettings, Surroundings
from mel.ports import Carrier
from mel.types import Group

T = TypeVar("T")

EPSILON = 1e-8


class ReinforcePlusPlusSettings(CarrierSettings):
    """REINFORCE++ as published is `baseline: none, over: tokens`; its variant with a baseline `group, tokens`."""

    name: ClassVar[str] = "reinforce_pp"
    surrogate: ClassVar[str] = "grpo"

    baseline: Literal["group", "none"] = Field(
        default="group", description="group: centered by the group's mean first. none: by the batch's mean alone."
    )
    over: Literal["rollouts", "tokens"] = Field(
        default="rollouts",
        description="What mean and deviation are taken over: rollouts, each counted once, or all sampled tokens.",
    )

    def build(self, at: Surroundings | None) -> Carrier:
        return ReinforcePlusPlus(self)


class ReinforcePlusPlus:
    """A_i = (c_i - mean c) / std c over the batch of all ranks, where c_i is r_i, or r_i - mean of its group.

    One spread for the batch leaves no bias towards problems whose group happens to agree. The reward comes at the
    end of a rollout and gamma is 1, so the return of every token is its rollout's reward: a mean over tokens is one
    over rollouts that weighs each by its length.
    """

    name = ReinforcePlusPlusSettings.name
    surrogate = ReinforcePlusPlusSettings.surrogate
    needs_whole_batch = True

    def __init__(self, settings: ReinforcePlusPlusSettings) -> None:
        self.settings = settings

    def advantages(self, groups: Sequence[Group]) -> list[list[float]]:
        # Paper: the reward holds a KL penalty per token, -beta sum_(s >= t) KL_s; here beta is 0.
        returns = [[reward - self._baseline(group) for reward in group.rewards] for group in groups]
        counts = [[self._count(rollout.num_sampled) for rollout in group.rollouts] for group in groups]
        mean, spread = self._moments(_flat(returns), _flat(counts))
        return [[(value - mean) / spread for value in of_group] for of_group in returns]

    def _baseline(self, group: Group) -> float:
        return fmean(group.rewards) if self.settings.baseline == "group" else 0.0

    def _count(self, tokens: int) -> int:
        return tokens if self.settings.over == "tokens" else 1

    def _moments(self, values: Sequence[float], counts: Sequence[int]) -> tuple[float, float]:
        """Mean, and what centered values are divided by."""
        total = sum(counts)
        if not total:
            return 0.0, 1.0
        mean = fmean(values, counts)
        squares = math.fsum(n * (value - mean) ** 2 for value, n in zip(values, counts, strict=True))
        if self.settings.over == "rollouts":
            return mean, math.sqrt(squares / total) + EPSILON
        # As verl's `masked_whiten`: the sample variance, with epsilon under the root.
        return mean, math.sqrt(squares / max(total - 1, 1) + EPSILON)


def _flat(by_group: Sequence[Sequence[T]]) -> list[T]:
    return [value for of_group in by_group for value in of_group]
