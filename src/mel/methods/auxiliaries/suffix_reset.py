"""Self-reset (SRPO, arXiv 2605.25507): a wrong solution is sampled anew from its error, and only that is learned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from mel.methods.attempts import Start, attempts, own_groups
from mel.methods.declaration import AuxiliarySettings, Surroundings
from mel.methods.location import Locator, before_step, check_locator, located, unaided_pairs
from mel.methods.needs import Assumptions, Expected, Limits, Longest, Needs
from mel.ports import Auxiliary, Inspectable, Requests
from mel.types import Group, Outcome, Pair, Problem


class SuffixResetSettings(AuxiliarySettings):
    """From where, and how often."""

    name: ClassVar[str] = "suffix_reset"
    label: ClassVar[str] = "self-reset"
    prompts: ClassVar[tuple[str, ...]] = ("construct",)
    changes_groups: ClassVar[bool] = True
    rates: ClassVar[Mapping[str, tuple[str, str]]] = {
        "success": ("right", "attempts"),
        "localization": ("located", "locatable"),
    }

    localizer: Locator = Field(
        default="first_difference",
        description="Who says where the error is: critique (paper: the policy), first_difference, least_likely, "
        "oracle; random is the paper's control.",
    )
    samples: int = Field(default=4, ge=2, description="Attempts from there, which are compared among themselves.")
    per_group: int = Field(default=1, ge=1, description="Wrong rollouts of a mixed group that are reset.")
    locate_max_tokens: int = Field(default=1024, ge=1, description="Limit of the policy's answer, for critique.")

    def check(self, *, rollouts: int, problems: Sequence[Problem], inspector: Inspectable | None) -> None:
        check_locator(self.localizer, inspector, self.name)

    def build(self, at: Surroundings) -> Auxiliary:
        return SuffixReset(self, at)

    def needs(self, limits: Limits) -> Needs:
        knob, many = "settings.samples", self.per_group * self.samples
        reset, row = (
            Longest(phase=name, prompt=limits.prompt + given, completion=most, knob=knob, per_group=many)
            for name, given, most in (
                ("reset", limits.completion, limits.completion),
                ("row", 0, 2 * limits.completion),
            )
        )
        locate = Longest(
            phase="locate",
            prompt=limits.prompt + limits.instruction + 2 * limits.completion,
            completion=self.locate_max_tokens,
            knob="settings.locate_max_tokens",
            per_group=self.per_group,
        )
        read = replace(locate, prompt=limits.prompt, completion=limits.completion, knob="settings.localizer")
        return Needs(
            phases=(locate, reset) if self.localizer == "critique" else (reset,),
            row=row,
            scored=(read,) if self.localizer == "least_likely" else (),
        )

    def expected(self, at: Assumptions) -> Expected:
        asked = at.mixed_share * self.per_group
        text = at.prompt_tokens + 2 * at.solution_tokens
        count, prefix = asked * self.samples, at.prefix_share * at.solution_tokens
        written = min(at.experience_tokens, self.locate_max_tokens)
        located = {"locate": asked} if self.localizer == "critique" else {}
        return Expected(
            generated={"reset": count * (at.solution_tokens - prefix), **{p: n * written for p, n in located.items()}},
            sequences={"reset": count, **located},
            read=count * (at.prompt_tokens + prefix) + sum(located.values()) * text,
            rows=count,
            row_tokens=count * at.solution_tokens,
            row_context=count * at.prompt_tokens,
        )


class SuffixReset:
    """Adds a group of its own for every wrong solution whose error is located."""

    name = SuffixResetSettings.name

    def __init__(self, settings: SuffixResetSettings, surroundings: Surroundings) -> None:
        check_locator(settings.localizer, surroundings.inspector, self.name)
        self.settings = settings
        self._at = surroundings

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        """The groups, and behind them those of the attempts from just before an error."""
        settings, at = self.settings, self._at
        counts: Counter[str] = Counter(groups=len(groups))
        pairs = [
            pair
            for group in groups
            for pair in unaided_pairs(group, at, step=step, per_group=settings.per_group, counts=counts)
        ]
        numbers = yield from located(
            pairs, settings.localizer, at, step=step, phase="locate", max_tokens=settings.locate_max_tokens
        )
        known = [(pair, number) for pair, number in zip(pairs, numbers, strict=True) if number is not None]
        counts.update(resets=len(known))
        counts["skipped/not_located"] += len(pairs) - len(known)
        for pair, number in known:
            counts.update(self._truth(pair, number))
        starts = [
            Start(group=pair.group, given=before_step(pair, number, at))
            for pair, number in known
            for _ in range(settings.samples)
        ]
        rollouts = yield from attempts(starts, at.rollout_sampling(), "reset", at)
        more = own_groups(starts, rollouts, settings.samples, counts)
        return Outcome(groups=(*groups, *more), counts=dict(counts))

    def _truth(self, pair: Pair, number: int) -> dict[str, int]:
        """Whether that step is the first error, where the task knows."""
        at = self._at
        error = at.inspector.first_error(pair.problem, pair.wrong.text) if at.inspector else None
        return {} if error is None else {"locatable": 1, "located": int(error == number)}
