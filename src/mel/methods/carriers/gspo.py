"""GSPO (arXiv 2507.18071): GRPO's advantages, one importance ratio per sequence instead of per token.

Paper: clipped at 3e-4 and 4e-4. The clip range is the recipe's (`trainer.epsilon`), which has the host's default.
"""

from __future__ import annotations

from typing import ClassVar

from mel.methods.carriers.grpo import Grpo
from mel.methods.declaration import CarrierSettings, Surroundings
from mel.ports import Carrier


class GspoSettings(CarrierSettings):
    """Nothing to set."""

    name: ClassVar[str] = "gspo"
    surrogate: ClassVar[str] = "gspo"

    def build(self, at: Surroundings | None) -> Carrier:
        return Gspo()


class Gspo(Grpo):
    """A as GRPO; ratio = exp(mean over tokens of the log-ratio), clipped as a whole."""

    name = GspoSettings.name
    surrogate = GspoSettings.surrogate
    needs_whole_batch = False
