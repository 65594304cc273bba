"""Carriers: how a group's rewards become advantages, and which surrogate is minimized. One per file."""

from __future__ import annotations

from mel.methods.carriers.dapo import Dapo
from mel.methods.carriers.dr_grpo import DrGrpo
from mel.methods.carriers.grpo import Grpo
from mel.methods.carriers.gspo import Gspo
from mel.methods.carriers.reinforce_pp import ReinforcePlusPlus
from mel.methods.carriers.rft import Rft
from mel.methods.carriers.rloo import Rloo
from mel.ports import Carrier

CARRIERS: dict[str, type[Carrier]] = {
    "grpo": Grpo,
    "dr_grpo": DrGrpo,
    "rloo": Rloo,
    "dapo": Dapo,
    "gspo": Gspo,
    "reinforce_pp": ReinforcePlusPlus,
    "rft": Rft,
}
