"""Rejection-sampling fine-tuning (arXiv 2308.01825; DeepSeekMath section 5): learn from right rollouts only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from mel.methods.declaration import CarrierSettings, Surroundings
from mel.ports import Carrier
from mel.types import Group


class RftSettings(CarrierSettings):
    """Which right rollouts are learned."""

    name: ClassVar[str] = "rft"
    surrogate: ClassVar[str] = "grpo"

    distinct: bool = Field(default=True, description="Learn each text of a problem once (white space aside).")
    most_per_problem: int | None = Field(
        default=None, ge=1, description="Learn so many rollouts of a problem at most, the first ones; null: all."
    )
    samples: Literal["current", "initial"] = Field(
        default="current",
        description="The policy that rollouts come from: as it is (online), or as it was before training (offline).",
    )

    @property
    def samples_initial(self) -> bool:
        return self.samples == "initial"

    def build(self, at: Surroundings | None) -> Carrier:
        return Rft(self)


class Rft:
    """A_i = 1 if the rollout was rewarded and is learned, else 0: on fresh tokens the gradient of their NLL.

    A group that is all right teaches nothing it does not know and is left out, as is one with no right rollout.
    """

    name = RftSettings.name
    surrogate = RftSettings.surrogate
    needs_whole_batch = False

    def __init__(self, settings: RftSettings) -> None:
        self.settings = settings

    def advantages(self, groups: Sequence[Group]) -> list[list[float]]:
        # Paper: mean over right rollouts. The surrogate divides by all rollouts, so a low pass rate weighs less here.
        return [self._of(group) for group in groups]

    def _of(self, group: Group) -> list[float]:
        rewards = group.rewards
        if not rewards or min(rewards) == max(rewards):
            return [0.0] * len(rewards)
        right = [place for place, reward in enumerate(rewards) if reward > 0]
        if self.settings.distinct:
            texts = [" ".join(group.rollouts[place].text.split()) for place in right]
            right = [place for i, place in enumerate(right) if texts[i] not in texts[:i]]
        learned = right[: self.settings.most_per_problem]
        return [float(place in learned) for place in range(len(rewards))]
