"""The quality gate: M is trained only while running means say that it helps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mel.methods.auxiliaries.meta_experience.settings import MetaExperienceSettings
from mel.types import Replayed

SUMS = ("kept", "replayed", "attempts_right", "attempts_expected", "attempts")
"""Of the counts of a batch, what the gate sums; all ranks together, so that it opens and closes on all of them."""


@dataclass(kw_only=True, slots=True)
class Gate:
    """Exponentially decaying sums over batches, and what they say.

    Retention is kept over replayed. Uplift is the share of right attempts minus the pass rates of the groups whose
    problems they solve, which estimate success without M.
    """

    settings: MetaExperienceSettings
    sums: dict[str, float]

    @classmethod
    def of(cls, settings: MetaExperienceSettings) -> Gate:
        return cls(settings=settings, sums=dict.fromkeys(SUMS, 0.0))

    @property
    def is_closed(self) -> bool:
        """Whether there is a gate, and retention or uplift are below what it asks; open until something is known."""
        s, sums = self.settings, self.sums
        if s.gate == "open" or not sums["replayed"] or not sums["attempts"]:
            return False
        uplift = (sums["attempts_right"] - sums["attempts_expected"]) / sums["attempts"]
        return sums["kept"] / sums["replayed"] < s.gate_retention or uplift < s.gate_uplift

    def hear(self, counts: Mapping[str, float]) -> None:
        """Takes in a batch; one without a replay says nothing and leaves the means as they are."""
        if counts.get("attempts"):
            self.sums = {k: self.settings.gate_decay * v + counts.get(k, 0.0) for k, v in self.sums.items()}

    def counts(self, replayed: Iterable[Replayed]) -> dict[str, float]:
        """What it adds to the counts of a batch: attempts that would be right without M, and whether it is closed."""
        if self.settings.gate == "open":
            return {}
        expected = sum(len(item.attempts) * item.group.pass_rate for item in replayed)
        return {"attempts_expected": expected, "gate_closed": float(self.is_closed)}
