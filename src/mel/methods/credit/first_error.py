"""First-error credit: the right beginning of a wrong rollout is not punished (Cliff 2609.02817, VPPO 2601.18984)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from mel.methods.declaration import CreditSettings, Surroundings
from mel.ports import Credit, Requests
from mel.stages.credit import Form, Shorten, excused, located_errors, rewarded_prefix, zero_sum
from mel.stages.spans import step_spans
from mel.types import Group, Outcome


class FirstErrorSettings(CreditSettings):
    """What the tokens before s* get; s* is that of a kept experience, so an auxiliary that keeps a ledger is needed."""

    name: ClassVar[str] = "first_error"
    reads_ledger: ClassVar[bool] = True
    belongs_to: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = {
        "share": ("form", ("cliff",)),
        **dict.fromkeys(("alpha", "shorten", "never_negative"), ("form", ("vppo",))),
    }

    form: Form = Field(
        default="excuse",
        description="excuse: advantage 0 before s*. cliff: zero, then every token of the group centered. vppo: alpha "
        "before s*, 0 behind, 1 on right rollouts, less the group's mean; the carrier's advantages are not used.",
    )
    share: float = Field(default=0.0, ge=0, le=1, description="Cliff's lambda: share of a right rollout's advantage.")
    alpha: float = Field(default=0.5, ge=0, le=1, description="VPPO's reward of a right prefix.")
    shorten: Shorten = Field(
        default="prompt",
        description="VPPO: taken off a right prefix: the prompt's length (paper), share: a tenth of the rollout, none.",
    )
    never_negative: bool = Field(default=False, description="VPPO: a right prefix is never punished (eq. 8).")

    @property
    def replaces_advantages(self) -> bool:
        return self.form == "vppo"

    def build(self, at: Surroundings | None) -> Credit:
        return FirstError(self, self.surroundings(at))


class FirstError:
    """Advantages by token around the s* of kept experiences."""

    name = FirstErrorSettings.name

    def __init__(self, settings: FirstErrorSettings, at: Surroundings) -> None:
        self.settings = settings
        self._tokenizer = at.tokenizer

    def assign(
        self, groups: Sequence[Group], advantages: Sequence[Sequence[float]], outcomes: Mapping[str, Outcome]
    ) -> Requests[list[list[list[float]]] | None]:
        yield from ()
        errors = located_errors(groups, [item for outcome in outcomes.values() for item in outcome.replayed])
        starts: list[list[int | None]] = [[None] * len(group.rollouts) for group in groups]
        for (group, rollout), step in errors.items():
            token_ids = groups[group].rollouts[rollout].token_ids
            starts[group][rollout] = step_spans(token_ids, (step,), self._tokenizer)[0].start
        return [self._formed(*of_group) for of_group in zip(groups, advantages, starts, strict=True)]

    def _formed(self, group: Group, advantages: Sequence[float], starts: Sequence[int | None]) -> list[list[float]]:
        s = self.settings
        if s.form == "cliff":
            return zero_sum(group, advantages, starts, share=s.share)
        if s.form == "vppo":
            return rewarded_prefix(group, starts, alpha=s.alpha, shorten=s.shorten, never_negative=s.never_negative)
        return excused(group, advantages, starts)
