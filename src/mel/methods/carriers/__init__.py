"""Carriers: how a group's rewards become advantages, and which surrogate is minimized. One per file."""

from __future__ import annotations

from mel.methods.carriers.dapo import DapoSettings
from mel.methods.carriers.dr_grpo import DrGrpoSettings
from mel.methods.carriers.grpo import GrpoSettings
from mel.methods.carriers.gspo import GspoSettings
from mel.methods.carriers.maspo import MaspoSettings
from mel.methods.carriers.reinforce_pp import ReinforcePlusPlusSettings
from mel.methods.carriers.rft import RftSettings
from mel.methods.carriers.rloo import RlooSettings
from mel.methods.declaration import CarrierSettings

CARRIERS: dict[str, type[CarrierSettings]] = {
    "grpo": GrpoSettings,
    "dr_grpo": DrGrpoSettings,
    "rloo": RlooSettings,
    "dapo": DapoSettings,
    "gspo": GspoSettings,
    "maspo": MaspoSettings,
    "reinforce_pp": ReinforcePlusPlusSettings,
    "rft": RftSettings,
}
