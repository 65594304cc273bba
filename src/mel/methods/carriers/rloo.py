"""RLOO (arXiv 2402.14740): each rollout against the mean of the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mel.methods.declaration import CarrierSettings, Surroundings
from mel.ports import Carrier
from mel.types import Group


class RlooSettings(CarrierSettings):
    """Nothing to set."""

    name: ClassVar[str] = "rloo"
    surrogate: ClassVar[str] = "grpo"

    def build(self, at: Surroundings | None) -> Carrier:
        return Rloo()


class Rloo:
    """A_i = r_i - mean of r_j over j other than i; zero for a group of one."""

    name = RlooSettings.name
    surrogate = RlooSettings.surrogate
    needs_whole_batch = False

    def advantages(self, groups: Sequence[Group]) -> list[list[float]]:
        return [_leave_one_out(group.rewards) for group in groups]


def _leave_one_out(rewards: Sequence[float]) -> list[float]:
    if len(rewards) < 2:
        return [0.0] * len(rewards)
    total = sum(rewards)
    return [reward - (total - reward) / (len(rewards) - 1) for reward in rewards]
