"""Online rejection-sampling fine-tuning (arXiv 2308.01825; DeepSeekMath section 5): learn from right rollouts only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mel.methods.declaration import CarrierSettings, Surroundings
from mel.ports import Carrier


class RftSettings(CarrierSettings):
    """Nothing to set."""

    name: ClassVar[str] = "rft"
    surrogate: ClassVar[str] = "grpo"

    def build(self, at: Surroundings | None) -> Carrier:
        return Rft()


class Rft:
    """A_i = 1 if the rollout was rewarded, else 0: on freshly sampled tokens the gradient of their NLL.

    A group that is all right teaches nothing it does not know and is left out, as is one with no right rollout.
    """

    name = RftSettings.name
    surrogate = RftSettings.surrogate
    needs_whole_batch = False

    def advantages(self, rewards: Sequence[Sequence[float]]) -> list[list[float]]:
        # Paper: mean over right rollouts. The surrogate divides by all rollouts, so a low pass rate weighs less here.
        return [[float(r > 0) if min(group) < max(group) else 0.0 for r in group] for group in rewards]
