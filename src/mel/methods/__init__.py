"""A run fills three slots: carrier, credit, auxiliaries. This package holds a table for each and puts them together.

    method = mel.methods.build(carrier="grpo", auxiliaries=[MetaExperienceSettings()], at=surroundings)

MEL is carrier `grpo` with the auxiliary `meta_experience`; every rival is another filling of the same slots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mel.methods.auxiliaries import AUXILIARIES
from mel.methods.auxiliaries.meta_experience import PAPER, MetaExperienceLearning, MetaExperienceSettings
from mel.methods.carriers import CARRIERS
from mel.methods.credit import CREDITS
from mel.methods.declaration import (
    RESERVED_PHASES,
    WHOLE_SAMPLER,
    AskingSettings,
    AuxiliarySettings,
    CarrierSettings,
    CreditSettings,
    Surroundings,
)
from mel.methods.diagnostics import MEASURES, WHOLE_COPY, Diagnosis, DiagnosticsSettings
from mel.methods.drive import GenerationError, adrive, drive
from mel.methods.needs import Assumptions, Expected, Limits, Longest, Needs
from mel.methods.reward_models import LearnedReward, RewardModel
from mel.naming import known
from mel.ports import Auxiliary, Carrier, Credit

__all__ = [
    "AUXILIARIES",
    "CARRIERS",
    "CREDITS",
    "MEASURES",
    "PAPER",
    "WHOLE_COPY",
    "WHOLE_SAMPLER",
    "AskingSettings",
    "Assumptions",
    "AuxiliarySettings",
    "CarrierSettings",
    "CreditSettings",
    "Diagnosis",
    "DiagnosticsSettings",
    "Expected",
    "GenerationError",
    "LearnedReward",
    "Limits",
    "Longest",
    "MetaExperienceLearning",
    "MetaExperienceSettings",
    "Method",
    "Needs",
    "RewardModel",
    "Surroundings",
    "adrive",
    "build",
    "carrier_settings",
    "check_slots",
    "credit_settings",
    "drive",
    "known",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """The three slots, filled.

    Args:
        settings: of the auxiliaries, one for each and in their order: what they declare.
        carrier_settings: what the carrier declares.
        credit_settings: what the credit rule declares.
        diagnosis: what is measured beside it; None: nothing.
    """

    carrier: Carrier
    credit: Credit
    auxiliaries: tuple[Auxiliary, ...] = ()
    settings: tuple[AuxiliarySettings, ...] = ()
    carrier_settings: CarrierSettings = field(default_factory=CARRIERS["grpo"])
    credit_settings: CreditSettings = field(default_factory=CREDITS["outcome"])
    diagnosis: Diagnosis | None = None

    def __post_init__(self) -> None:
        own = getattr(self.carrier, "settings", None)
        if isinstance(own, CarrierSettings) and own.samples_initial != self.carrier_settings.samples_initial:
            raise ValueError(
                f"carrier {self.carrier.name!r}: expected its own settings as carrier_settings, by which a host knows "
                f"the policy that rollouts come from; got those of {self.carrier_settings.name!r}: give them, or make "
                "the method by `mel.methods.build`"
            )

    @property
    def phases(self) -> tuple[str, ...]:
        """Every phase in which auxiliaries and credit generate, each once."""
        return tuple(dict.fromkeys(phase for s in (*self.settings, self.credit_settings) for phase in s.phases))

    @property
    def reads_text(self) -> bool:
        """Whether it needs problems, solutions and verdicts; the carrier alone reads rewards."""
        return bool(self.auxiliaries) or self.credit_settings.reads_text or self.diagnosis is not None

    @property
    def asks_about_problems(self) -> bool:
        """Whether turns of its own take the place of the one that asked for a solution, behind the group's opening."""
        return bool(self.auxiliaries) or bool(self.credit_settings.prompts)

    @property
    def needs_initial_policy(self) -> bool:
        """Whether the policy as it was before training must be at hand."""
        is_measured = self.diagnosis is not None and self.diagnosis.settings.needs_initial_policy
        return is_measured or self.carrier_settings.samples_initial

    @property
    def compares_gradients_every(self) -> int:
        """Optimizer steps between two comparisons of gradients that nothing but a diagnosis needs; 0: never."""
        return self.diagnosis.settings.compares_gradients_every if self.diagnosis is not None else 0


def build(
    *,
    at: Surroundings,
    carrier: str | CarrierSettings = "grpo",
    credit: str | CreditSettings = "outcome",
    auxiliaries: Sequence[AuxiliarySettings] = (),
    diagnostics: DiagnosticsSettings | None = None,
) -> Method:
    """The method those names and settings stand for.

    Args:
        carrier, credit: a name alone means its defaults.
        diagnostics: what is measured beside it; None, or settings without measures: nothing.

    Raises:
        ValueError: an unknown name, one auxiliary twice, a credit rule with a carrier or auxiliaries it cannot work
            with, or a measure that there is nothing to take of.
    """
    carrier, credit = carrier_settings(carrier), credit_settings(credit)
    check_slots(carrier, credit, auxiliaries)
    return Method(
        carrier=carrier.build(at),
        credit=credit.build(at),
        auxiliaries=tuple(settings.build(at) for settings in auxiliaries),
        settings=tuple(auxiliaries),
        carrier_settings=carrier,
        credit_settings=credit,
        diagnosis=Diagnosis(diagnostics, at, has_auxiliaries=bool(auxiliaries))
        if diagnostics is not None and diagnostics.measures
        else None,
    )


def carrier_settings(carrier: str | CarrierSettings, settings: Mapping[str, Any] | None = None) -> CarrierSettings:
    """The settings of the carrier of that name, or those given.

    Raises:
        ValueError: an unknown name, an unknown setting or a bad value; the nearest valid one is named.
    """
    if isinstance(carrier, CarrierSettings):
        return carrier
    return CARRIERS[known(carrier, CARRIERS, "carrier")](**(settings or {}))


def credit_settings(credit: str | CreditSettings, settings: Mapping[str, Any] | None = None) -> CreditSettings:
    """As `carrier_settings`, of a credit rule."""
    if isinstance(credit, CreditSettings):
        return credit
    return CREDITS[known(credit, CREDITS, "credit rule")](**(settings or {}))


def check_slots(carrier: CarrierSettings, credit: CreditSettings, auxiliaries: Sequence[AuxiliarySettings]) -> None:
    """Refuses slots that do not go together.

    Raises:
        ValueError: an auxiliary twice, one that must come first behind another, a phase that two parts generate in, a
            credit rule without what it reads, or one that leaves nothing of the carrier.
    """
    names = [settings.name for settings in auxiliaries]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"auxiliaries: expected each at most once, got {twice!r} {names.count(twice)} times")
    late = next((s.name for s in auxiliaries[1:] if s.comes_first), None)
    if late is not None:
        raise ValueError(f"auxiliary {late!r}: expected it as the first one, got it behind {auxiliaries[0].name!r}")
    phases = [(phase, f"auxiliary {s.name!r}") for s in auxiliaries for phase in s.phases]
    phases += [(phase, f"credit {credit.name!r}") for phase in credit.phases]
    for phase, name in phases:
        rivals = [other for p, other in phases if p == phase and other != name]
        if phase in RESERVED_PHASES or rivals:
            who = f"{rivals[0]} counts" if rivals else "tokens/ and time_s/ count"
            raise ValueError(f"{name}: the phase {phase!r} needs another name: {who} under it already")
    if credit.reads_ledger and not any(s.keeps_ledger for s in auxiliaries):
        raise ValueError(f"credit {credit.name!r} reads s* from meta-experiences; add the auxiliary meta_experience")
    _check_gathering(credit, auxiliaries)
    changing = next((s.name for s in auxiliaries if s.changes_groups), None)
    if carrier.samples_initial and changing is not None:
        raise ValueError(
            f"carrier {carrier.name!r} takes its rollouts from the policy before training, but auxiliary {changing!r} "
            "adds some of the policy as it is: let rollouts come from the current policy, or leave it out"
        )
    plain = CARRIERS["grpo"]
    if credit.replaces_advantages and carrier.surrogate == plain.surrogate and not isinstance(carrier, plain):
        raise ValueError(
            f"credit {credit.name!r} as set does not use the carrier's advantages, and carrier {carrier.name!r} "
            "differs from grpo in nothing else: set carrier: grpo, or one with a surrogate of its own"
        )


def _check_gathering(credit: CreditSettings, auxiliaries: Sequence[AuxiliarySettings]) -> None:
    """Refuses what must know about the groups of a batch in that batch."""
    for settings in auxiliaries:
        if settings.gathers > 1 and (settings.changes_groups or credit.reads_ledger):
            who = f"credit {credit.name!r} reads" if credit.reads_ledger else f"auxiliary {settings.name!r} changes"
            raise ValueError(
                f"auxiliary {settings.name!r} gathers {settings.gathers} generation batches, while {who} those of the "
                "batch that is learned: let it learn from each batch (gather: 1)"
            )
