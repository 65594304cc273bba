"""A run fills three slots: carrier, credit, auxiliaries. This package holds a table for each and puts them together.

    method = mel.methods.build(carrier="grpo", auxiliaries=[MetaExperienceSettings()], at=surroundings)

MEL is carrier `grpo` with the auxiliary `meta_experience`; every rival is another filling of the same slots.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mel.methods.auxiliaries import AUXILIARIES
from mel.methods.auxiliaries.meta_experience import MetaExperienceLearning, Surroundings
from mel.methods.auxiliaries.settings import PAPER, MetaExperienceSettings
from mel.methods.carriers import CARRIERS
from mel.methods.credit import CREDITS
from mel.methods.drive import GenerationError, adrive, drive
from mel.naming import did_you_mean
from mel.ports import Auxiliary, Carrier, Credit

__all__ = [
    "AUXILIARIES",
    "CARRIERS",
    "CREDITS",
    "PAPER",
    "GenerationError",
    "MetaExperienceLearning",
    "MetaExperienceSettings",
    "Method",
    "Surroundings",
    "adrive",
    "build",
    "drive",
    "ratios",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """The three slots, filled."""

    carrier: Carrier
    credit: Credit
    auxiliaries: tuple[Auxiliary, ...]


def build(
    *,
    at: Surroundings,
    carrier: str = "grpo",
    credit: str = "outcome",
    auxiliaries: Sequence[MetaExperienceSettings] = (),
) -> Method:
    """The method those names and settings stand for.

    Raises:
        ValueError: an unknown name, or a credit rule without the auxiliary it reads.
    """
    known(carrier, CARRIERS, "carrier")
    known(credit, CREDITS, "credit rule")
    if credit == "first_error" and not auxiliaries:
        raise ValueError("credit 'first_error' reads s* from meta-experiences; add the auxiliary meta_experience")
    learners = dict(AUXILIARIES.values())
    return Method(
        carrier=CARRIERS[carrier](),
        credit=CREDITS[credit](at.tokenizer),
        auxiliaries=tuple(learners[type(settings)](settings, at) for settings in auxiliaries),
    )


def known(name: str, table: Iterable[str], what: str) -> str:
    """`name` if the table has it.

    Raises:
        ValueError: it has not; the nearest name is suggested.
    """
    names = sorted(table)
    if name in names:
        return name
    raise ValueError(f"{what}: expected one of {', '.join(names)}, got {name!r}{did_you_mean(name, names)}")


def ratios(counts: Mapping[str, float]) -> dict[str, float]:
    """Rates, 0 to 1, out of the summed counts of a step; a rate with nothing to count is left out."""
    parts = {
        "retention": ("kept", "replayed"),
        "parse_rate": ("parsed", "candidates"),
        "leak_rate": ("leaks", "parsed"),
        "replay_success": ("attempts_right", "attempts"),
        "localization": ("located", "locatable"),
        "kept_localization": ("kept_located", "kept_locatable"),
        "rule_truth": ("rules_true", "rules"),
        "kept_rule_truth": ("kept_rules_true", "kept_rules"),
    }
    return {name: counts[top] / counts[under] for name, (top, under) in parts.items() if counts.get(under)}
