"""RLOO (arXiv 2402.14740): each rollout against the mean of the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mel.methods.declaration import CarrierSettings, Surroundings
from mel.ports import Carrier


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

    def advantages(self, rewards: Sequence[Sequence[float]]) -> list[list[float]]:
        return [_leave_one_out(group) for group in rewards]


def _leave_one_out(group: Sequence[float]) -> list[float]:
    if len(group) < 2:
        return [0.0] * len(group)
    total = sum(group)
    return [reward - (total - reward) / (len(group) - 1) for reward in group]
