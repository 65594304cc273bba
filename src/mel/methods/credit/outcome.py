"""Outcome credit: every token of a rollout shares its advantage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from mel.methods.declaration import CreditSettings, Surroundings
from mel.ports import Credit, Requests
from mel.types import Group
from mel.types import Outcome as AuxiliaryOutcome


class OutcomeSettings(CreditSettings):
    """Nothing to set."""

    name: ClassVar[str] = "outcome"
    reads_text: ClassVar[bool] = False

    def build(self, at: Surroundings | None) -> Credit:
        return Outcome()


class Outcome:
    """Leaves the carrier's advantages alone (the paper's GRPO term)."""

    name = OutcomeSettings.name

    def assign(
        self,
        groups: Sequence[Group],
        advantages: Sequence[Sequence[float]],
        outcomes: Mapping[str, AuxiliaryOutcome],
    ) -> Requests[list[list[list[float]]] | None]:
        yield from ()
        return None
