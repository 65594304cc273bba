"""Dynamic sampling (DAPO, arXiv 2503.14476, section 3.2): groups that teach nothing are sampled again.

A group is uniform if the verifier finds all of its rollouts right, or all wrong; rewards, which a carrier may shape,
decide nothing.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import ClassVar, Literal

from pydantic import Field

from mel.methods.attempts import Start, attempts
from mel.methods.declaration import AuxiliarySettings, Surroundings
from mel.methods.needs import Assumptions, Expected, Limits, Longest, Needs
from mel.ports import Auxiliary, Requests
from mel.types import Group, Outcome, Problem

PHASE = "refill"
"""Tokens of the rollouts that are sampled beside the host's."""


class DynamicSamplingSettings(AuxiliarySettings):
    """How often is sampled again, and what."""

    name: ClassVar[str] = "dynamic_sampling"
    label: ClassVar[str] = "dynamic sampling"
    rates: ClassVar[Mapping[str, tuple[str, str]]] = {"filled_share": ("filled", "uniform")}
    changes_groups: ClassVar[bool] = True
    comes_first: ClassVar[bool] = True

    rounds: int = Field(
        default=3, ge=1, description="Times a uniform group is sampled again at most; then it stays as it was (eq. 11)."
    )
    draw: Literal["problems", "same"] = Field(
        default="problems", description="Of what: another problem of the training set (paper), or the same one."
    )

    def build(self, at: Surroundings) -> Auxiliary:
        return DynamicSampling(self, at)

    def needs(self, limits: Limits) -> Needs:
        return Needs(
            phases=(
                Longest(
                    phase=PHASE,
                    prompt=limits.prompt,
                    completion=limits.completion,
                    knob="settings.rounds",
                    per_group=limits.rollouts,
                ),
            ),
            row=Longest(
                phase="row",
                prompt=limits.prompt,
                completion=limits.completion,
                knob="settings.rounds",
                per_group=limits.rollouts,
            ),
        )

    def expected(self, at: Assumptions) -> Expected:
        uniform = 1 - at.mixed_share
        tried = at.rollouts * sum(uniform**k for k in range(1, self.rounds + 1))
        filled = at.rollouts * (uniform - uniform ** (self.rounds + 1))
        return Expected(
            generated={PHASE: tried * at.solution_tokens},
            sequences={PHASE: tried},
            read=tried * at.prompt_tokens,
            rows=filled,
            row_tokens=filled * at.solution_tokens,
            row_context=filled * at.prompt_tokens,
        )


class DynamicSampling:
    """Puts a mixed group in the place of a uniform one, as far as a few rounds of sampling find one.

    Every rank asks once per round, whether or not it has a group to refill.

    Raises:
        ValueError: further problems are wanted and nobody has the training set.
    """

    name = DynamicSamplingSettings.name

    def __init__(self, settings: DynamicSamplingSettings, at: Surroundings) -> None:
        if settings.draw == "problems" and (at.ask is None or not at.problems):
            raise ValueError(
                "dynamic_sampling.draw: expected the training set as `problems` and `ask` of the surroundings, as a "
                "recipe gives them; without it, set draw to 'same' to sample the same problem again"
            )
        self.settings = settings
        self._at = at

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        """The groups, with mixed ones in the places of uniform ones where such were found."""
        found = list(groups)
        counts: Counter[str] = Counter(uniform=sum(not group.is_mixed for group in groups), tried=0, filled=0)
        used = {group.problem.id for group in groups}
        for round_ in range(self.settings.rounds):
            places = [place for place, group in enumerate(found) if not group.is_mixed]
            drawn = [self._drawn(groups[place], used, f"{step}:{round_}") for place in places]
            refilled = yield from self._rolled_out(drawn)
            counts["tried"] += len(refilled)
            for place, group in zip(places, refilled, strict=True):
                if group.is_mixed:
                    found[place] = group
                    counts["filled"] += 1
        return Outcome(groups=tuple(found), counts=counts)

    def _drawn(self, group: Group, used: set[str], at: str) -> Group:
        """Whose problem is rolled out in the place of this group; its rollouts are yet to be replaced."""
        problem = None
        if self.settings.draw == "problems":
            problem = _another(self._at.problems, used, random.Random(f"{self._at.seed}:{at}:{group.problem.id}"))
        if problem is None or self._at.ask is None:
            return group
        used.add(problem.id)
        turns = self._at.ask(problem)
        return replace(group, problem=problem, prompt_ids=self._at.tokenizer.chat(turns), opening=tuple(turns[:-1]))

    def _rolled_out(self, drawn: Sequence[Group]) -> Requests[list[Group]]:
        """Each with as many rollouts of its problem as it had, all of them new."""
        starts = [Start(group=group) for group in drawn for _ in group.rollouts]
        rollouts = iter((yield from attempts(starts, self._at.rollout_sampling(), PHASE, self._at)))
        return [replace(group, rollouts=tuple(islice(rollouts, len(group.rollouts)))) for group in drawn]


def _another(problems: Sequence[Problem], used: set[str], rng: random.Random) -> Problem | None:
    """One that is not used yet, each as likely as the others; None if all are."""
    sample = rng.sample(problems, min(len(problems), len(used) + 1))
    return next((problem for problem in sample if problem.id not in used), None)
