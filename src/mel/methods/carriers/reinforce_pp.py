"""REINFORCE++ with a group baseline (arXiv 2501.03262): centered per group, then whitened over the batch."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, pstdev
from typing import ClassVar

from mel.methods.declaration import CarrierSettings, Surroundings
from mel.ports import Carrier

EPSILON = 1e-8


class ReinforcePlusPlusSettings(CarrierSettings):
    """Nothing to set."""

    name: ClassVar[str] = "reinforce_pp"
    surrogate: ClassVar[str] = "grpo"

    def build(self, at: Surroundings | None) -> Carrier:
        return ReinforcePlusPlus()


class ReinforcePlusPlus:
    """A_i = (r_i - mean of its group) / std over the whole batch of centered rewards.

    One spread for the batch leaves no bias towards problems whose group happens to agree. The reward comes
    at the end of a rollout and gamma is 1, so every token of it shares one advantage.
    """

    name = ReinforcePlusPlusSettings.name
    surrogate = ReinforcePlusPlusSettings.surrogate
    needs_whole_batch = True

    def advantages(self, rewards: Sequence[Sequence[float]]) -> list[list[float]]:
        centered = [[reward - fmean(group) for reward in group] for group in rewards]
        flat = [value for group in centered for value in group]
        if not flat:
            return []
        # Paper: whitened over all tokens of the batch; here every rollout counts once, however long it is.
        mean, spread = fmean(flat), pstdev(flat)
        return [[(value - mean) / (spread + EPSILON) for value in group] for group in centered]
