"""MASPO (arXiv 2602.17550): GRPO's advantages, a soft weight on tokens that moved in the place of the clip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from mel.methods.carriers.grpo import Grpo
from mel.methods.declaration import CarrierSettings, Surroundings
from mel.ports import Carrier


class MaspoSettings(CarrierSettings):
    """The width of the soft weight; defaults of the authors' code. See `mel.objective.surrogates.mass_adaptive`."""

    name: ClassVar[str] = "maspo"
    surrogate: ClassVar[str] = "maspo"

    sigma: float = Field(default=1.0, gt=0, description="Width for a token that had probability 1, at advantage 0.")
    alpha: float = Field(
        default=0.3, ge=0, description="How much wider for improbable tokens: 1 / p^alpha (paper: 0.5 for 1.5B)."
    )
    beta_positive: float = Field(default=0.03, ge=0, description="How much wider for large positive advantages.")
    beta_negative: float = Field(default=0.03, ge=0, description="How much narrower for large negative advantages.")
    most_sigma: float = Field(default=10.0, gt=0, description="Bound of the width by probability.")
    least_risk: float = Field(default=0.1, gt=0, description="Lower bound of the factor by advantage.")
    most_risk: float = Field(default=10.0, gt=0, description="Upper bound of the factor by advantage.")

    def build(self, at: Surroundings | None) -> Carrier:
        return Maspo(self)


class Maspo(Grpo):
    """A as GRPO; a batch that one optimizer step uses up has ratios of 1, and then MASPO is GRPO."""

    name = MaspoSettings.name
    surrogate = MaspoSettings.surrogate
    needs_whole_batch = False

    def __init__(self, settings: MaspoSettings) -> None:
        self.surrogate_settings: Mapping[str, float] = settings.model_dump()
