"""Outcome credit: every token of a rollout shares its advantage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mel.methods.declaration import Surroundings
from mel.ports import Requests
from mel.types import Group
from mel.types import Outcome as AuxiliaryOutcome


class Outcome:
    """Leaves the carrier's advantages alone (the paper's GRPO term)."""

    name = "outcome"

    def __init__(self, at: Surroundings | None) -> None:
        del at

    def assign(
        self,
        groups: Sequence[Group],
        advantages: Sequence[Sequence[float]],
        outcomes: Mapping[str, AuxiliaryOutcome],
    ) -> Requests[list[list[list[float]]] | None]:
        yield from ()
        return None
