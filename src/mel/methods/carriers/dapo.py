"""DAPO's loss (arXiv 2503.14476): GRPO's advantages, token mean over the batch, clip range 0.2 / 0.28.

Its dynamic sampling (refilling groups that are all right or all wrong) is a matter of the sampler and is not part
of this carrier.
"""

from __future__ import annotations

from typing import ClassVar

from mel.methods.carriers.grpo import Grpo
from mel.methods.declaration import CarrierSettings, Surroundings
from mel.ports import Carrier


class DapoSettings(CarrierSettings):
    """Nothing to set."""

    name: ClassVar[str] = "dapo"
    surrogate: ClassVar[str] = "dapo"

    def build(self, at: Surroundings | None) -> Carrier:
        return Dapo()


class Dapo(Grpo):
    """A as GRPO; long rollouts weigh by their tokens."""

    name = DapoSettings.name
    surrogate = DapoSettings.surrogate
    needs_whole_batch = False
