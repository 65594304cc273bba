"""How many candidates got how far: the counts over a whole run, each stage a part of the one before."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mel.types import Truth

KEPT = "kept"
"""The reason of a candidate that was kept."""

STAGES = (
    ("pairs", "candidates", "asked for an experience"),
    ("parsed", "parsed", "of the pairs have s*, C and H"),
    ("replayed", "replayed", "of the parsed reached a replay"),
    ("kept", "kept", "of the replayed were accepted"),
)
"""Word, field of `Ledger` and meaning of each stage, in order."""


COUNTED = (
    "reason", "failure", "success_rate", "is_kept", "states_answer", "bifurcation", "first_error", "rule_truth",
)  # fmt: skip
"""Columns of a candidate on which the counts depend."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ledger:
    """Counts over a whole run, or over several.

    Args:
        candidates: pairs for which an experience was asked.
        parsed: of these, the ones with s*, C and H.
        replayed: of these, the ones that reached a replay.
        kept: of these, the ones whose replay was accepted.
        leaks: parsed ones that state the final answer.
        reasons: `reason` -> count over all candidates, most frequent first.
        located, locatable: parsed ones whose s* is the true first error, of those where it is known.
        true_rules, checkable_rules: parsed ones whose heuristic is true, of those where it can be told.
    """

    candidates: int = 0
    parsed: int = 0
    replayed: int = 0
    kept: int = 0
    leaks: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    located: int = 0
    locatable: int = 0
    true_rules: int = 0
    checkable_rules: int = 0

    @classmethod
    def of(cls, alike: Iterable[sqlite3.Row]) -> Ledger:
        """The counts over candidates that are given as groups of alike ones: `COUNTED` and their `number`."""
        counts: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        for row in alike:
            number, is_parsed = row["number"], not row["failure"]
            is_located = Truth(first_error=row["first_error"]).locates(row["bifurcation"])
            facts = {
                "candidates": True,
                "parsed": is_parsed,
                "replayed": row["success_rate"] is not None,
                "kept": row["is_kept"],
                "leaks": is_parsed and row["states_answer"],
                "locatable": is_parsed and is_located is not None,
                "located": is_parsed and is_located,
                "checkable_rules": is_parsed and row["rule_truth"] is not None,
                "true_rules": is_parsed and row["rule_truth"],
            }
            counts.update({name: number for name, holds in facts.items() if holds})
            reasons[row["reason"]] += number
        return cls(**counts, reasons=_by_frequency(reasons))

    @classmethod
    def sum(cls, ledgers: Iterable[Ledger]) -> Ledger:
        """The counts over several runs."""
        counts: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        for ledger in ledgers:
            reasons.update(ledger.reasons)
            counts.update({name: getattr(ledger, name) for name in cls.__slots__ if name != "reasons"})
        return cls(**counts, reasons=_by_frequency(reasons))

    @property
    def localization(self) -> float | None:
        """Share of true first errors among the steps that were blamed, where they are known."""
        return self.located / self.locatable if self.locatable else None

    @property
    def rule_truth(self) -> float | None:
        """Share of true heuristics, where it can be told."""
        return self.true_rules / self.checkable_rules if self.checkable_rules else None


def _by_frequency(reasons: Counter[str]) -> dict[str, int]:
    return dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
