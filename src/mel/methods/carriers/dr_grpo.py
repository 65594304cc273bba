"""Dr. GRPO (arXiv 2503.20783): no division by the spread, and by a constant length instead of each rollout's own."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import ClassVar

from mel.methods.declaration import CarrierSettings, Surroundings
from mel.ports import Carrier
from mel.types import Group


class DrGrpoSettings(CarrierSettings):
    """Nothing to set."""

    name: ClassVar[str] = "dr_grpo"
    surrogate: ClassVar[str] = "dr_grpo"

    def build(self, at: Surroundings | None) -> Carrier:
        return DrGrpo()


class DrGrpo:
    """A_i = r_i - mean r; the surrogate divides token sums by the maximum completion length."""

    name = DrGrpoSettings.name
    surrogate = DrGrpoSettings.surrogate
    needs_whole_batch = False

    def advantages(self, groups: Sequence[Group]) -> list[list[float]]:
        return [[reward - fmean(group.rewards) for reward in group.rewards] for group in groups]
