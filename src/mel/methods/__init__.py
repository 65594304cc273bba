"""A run fills three slots: carrier, credit, auxiliaries. This package holds a table for each and puts them together.

    method = mel.methods.build(carrier="grpo", auxiliaries=[MetaExperienceSettings()], at=surroundings)

MEL is carrier `grpo` with the auxiliary `meta_experience`; every rival is another filling of the same slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mel.methods.auxiliaries import AUXILIARIES
from mel.methods.auxiliaries.meta_experience import PAPER, MetaExperienceLearning, MetaExperienceSettings
from mel.methods.carriers import CARRIERS
from mel.methods.credit import CREDITS
from mel.methods.declaration import (
    RESERVED_PHASES,
    Assumptions,
    AuxiliarySettings,
    Expected,
    Limits,
    Longest,
    Needs,
    Surroundings,
)
from mel.methods.drive import GenerationError, adrive, drive
from mel.naming import known
from mel.ports import Auxiliary, Carrier, Credit

__all__ = [
    "AUXILIARIES",
    "CARRIERS",
    "CREDITS",
    "PAPER",
    "Assumptions",
    "AuxiliarySettings",
    "Expected",
    "GenerationError",
    "Limits",
    "Longest",
    "MetaExperienceLearning",
    "MetaExperienceSettings",
    "Method",
    "Needs",
    "Surroundings",
    "adrive",
    "build",
    "check_slots",
    "drive",
    "known",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """The three slots, filled.

    Args:
        settings: of the auxiliaries, one for each and in their order: what they declare.
    """

    carrier: Carrier
    credit: Credit
    auxiliaries: tuple[Auxiliary, ...] = ()
    settings: tuple[AuxiliarySettings, ...] = ()

    @property
    def phases(self) -> tuple[str, ...]:
        """Every phase in which the auxiliaries generate, each once."""
        return tuple(dict.fromkeys(phase for settings in self.settings for phase in settings.phases))


def build(
    *,
    at: Surroundings,
    carrier: str = "grpo",
    credit: str = "outcome",
    auxiliaries: Sequence[AuxiliarySettings] = (),
) -> Method:
    """The method those names and settings stand for.

    Raises:
        ValueError: an unknown name, one auxiliary twice, or a credit rule without the auxiliary it reads.
    """
    known(carrier, CARRIERS, "carrier")
    known(credit, CREDITS, "credit rule")
    check_slots(credit, auxiliaries)
    return Method(
        carrier=CARRIERS[carrier](),
        credit=CREDITS[credit](at),
        auxiliaries=tuple(settings.build(at) for settings in auxiliaries),
        settings=tuple(auxiliaries),
    )


def check_slots(credit: str, auxiliaries: Sequence[AuxiliarySettings]) -> None:
    """Refuses slots that do not go together.

    Raises:
        ValueError: an auxiliary twice, a phase that two of them generate in, or a credit rule without what it reads.
    """
    names = [settings.name for settings in auxiliaries]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"auxiliaries: expected each at most once, got {twice!r} {names.count(twice)} times")
    phases = [(phase, s.name) for s in auxiliaries for phase in s.phases]
    for phase, name in phases:
        rivals = [other for p, other in phases if p == phase and other != name]
        if phase in RESERVED_PHASES or rivals:
            who = f"auxiliary {rivals[0]!r} counts" if rivals else "tokens/ and time_s/ count"
            raise ValueError(f"auxiliary {name!r}: the phase {phase!r} needs another name: {who} under it already")
    if credit == "first_error" and not any(s.keeps_ledger for s in auxiliaries):
        raise ValueError("credit 'first_error' reads s* from meta-experiences; add the auxiliary meta_experience")
