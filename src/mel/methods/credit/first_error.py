"""First-error credit: the right beginning of a wrong rollout is not punished (Cliff 2609.02817, VPPO 2601.18984)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from mel.methods.declaration import CreditSettings, Surroundings
from mel.ports import Credit, Requests
from mel.stages.credit import weights_from_bifurcation
from mel.types import Group, Outcome


class FirstErrorSettings(CreditSettings):
    """Nothing to set."""

    name: ClassVar[str] = "first_error"
    reads_ledger: ClassVar[bool] = True

    def build(self, at: Surroundings | None) -> Credit:
        return FirstError(at)


class FirstError:
    """Advantage 0 on the tokens of y- before the s* of a kept experience; needs an auxiliary that keeps a ledger."""

    name = FirstErrorSettings.name

    def __init__(self, at: Surroundings | None) -> None:
        if at is None:
            raise ValueError("credit 'first_error' reads s* from meta-experiences; add the auxiliary meta_experience")
        self._tokenizer = at.tokenizer

    def assign(
        self, groups: Sequence[Group], advantages: Sequence[Sequence[float]], outcomes: Mapping[str, Outcome]
    ) -> Requests[list[list[list[float]]] | None]:
        yield from ()
        replayed = [item for outcome in outcomes.values() for item in outcome.replayed]
        weights = weights_from_bifurcation(groups, replayed, self._tokenizer)
        return [
            [[advantage * w for w in of_rollout] for advantage, of_rollout in zip(of_group, ws, strict=True)]
            for of_group, ws in zip(advantages, weights, strict=True)
        ]
