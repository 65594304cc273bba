"""Credit: at which tokens of a rollout its advantage counts. One rule per file."""

from __future__ import annotations

from mel.methods.credit.blockwise import BlockwiseSettings
from mel.methods.credit.contrast import ContrastSettings
from mel.methods.credit.first_error import FirstErrorSettings
from mel.methods.credit.outcome import OutcomeSettings
from mel.methods.credit.process_reward import ProcessRewardSettings
from mel.methods.declaration import CreditSettings

CREDITS: dict[str, type[CreditSettings]] = {
    "outcome": OutcomeSettings,
    "first_error": FirstErrorSettings,
    "process_reward": ProcessRewardSettings,
    "blockwise": BlockwiseSettings,
    "contrast": ContrastSettings,
}
