"""More rollouts for a budget of tokens: the control of every method that generates more than its carrier does.

A method that writes, replays or hints must beat its carrier at equal generated tokens (the GRPO-Extra of LTE, arXiv
2510.26109), not at equal rollouts: rollouts get longer and shorter while they are trained.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from mel.methods.attempts import Start, added, attempts
from mel.methods.declaration import AuxiliarySettings, Surroundings
from mel.methods.needs import Assumptions, Expected, Limits, Longest, Needs
from mel.ports import Auxiliary, Requests
from mel.types import Group, Outcome, Rollout

FIRST_SHARE = 0.8
"""Of what is left of the budget, what every round but the last asks for: a round that is too long cannot be undone."""


class ExtraRolloutsSettings(AuxiliarySettings):
    """How many tokens more, and in how many rounds."""

    name: ClassVar[str] = "extra_rollouts"
    label: ClassVar[str] = "extra rollouts"
    changes_groups: ClassVar[bool] = True
    rates: ClassVar[Mapping[str, tuple[str, str]]] = {
        "spent": ("tokens_added", "budget"),
        "success": ("right", "added"),
    }

    tokens: float = Field(
        default=1.24,
        ge=1,
        description="Generated tokens of a step as a multiple of those of its rollouts: the `tokens/generated` of the "
        "method to be compared with, over its own rollouts' tokens.",
    )
    rounds: int = Field(
        default=2,
        ge=1,
        description="Engine calls per step: each asks for what the ones before left of the budget, so that more of "
        "them meet it more closely.",
    )

    def build(self, at: Surroundings) -> Auxiliary:
        return ExtraRollouts(self, at)

    def needs(self, limits: Limits) -> Needs:
        most = max(1, math.ceil((self.tokens - 1) * limits.rollouts))
        knob = "settings.tokens"
        phase, row = (
            Longest(phase=name, prompt=limits.prompt, completion=limits.completion, knob=knob, per_group=most)
            for name in ("extra", "row")
        )
        return Needs(phases=(phase,), row=row)

    def expected(self, at: Assumptions) -> Expected:
        more = (self.tokens - 1) * at.rollouts
        return Expected(
            generated={"extra": more * at.solution_tokens},
            sequences={"extra": more},
            read=more * at.prompt_tokens,
            rows=more,
            row_tokens=more * at.solution_tokens,
            row_context=more * at.prompt_tokens,
        )


class ExtraRollouts:
    """Adds rollouts to all groups alike until the budget is met."""

    name = ExtraRolloutsSettings.name

    def __init__(self, settings: ExtraRolloutsSettings, surroundings: Surroundings) -> None:
        self.settings = settings
        self._at = surroundings

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        """The groups with more rollouts, whose tokens are the budget up to about half a rollout."""
        given = [len(rollout.token_ids) for group in groups for rollout in group.rollouts]
        mean, budget = sum(given) / max(len(given), 1), (self.settings.tokens - 1) * sum(given)
        rng = random.Random(f"{self._at.seed}:{step}:{'|'.join(group.problem.id for group in groups)}")
        places = rng.sample(range(len(groups)), len(groups))
        starts: list[Start] = []
        rollouts: list[Rollout] = []
        for left in reversed(range(self.settings.rounds)):
            spent = sum(len(rollout.token_ids) for rollout in rollouts)
            count = _affordable(budget - spent, mean, rng, is_last=left == 0)
            # Dealt out in turn over all rounds, so that no group has two more than another.
            turns = [places[i % len(places)] for i in range(len(starts), len(starts) + count)]
            asked = [Start(place=place, group=groups[place]) for place in turns]
            rollouts += yield from attempts(asked, self._at.rollout_sampling(), "extra", self._at)
            starts += asked
        counts: Counter[str] = Counter(rollouts=len(given), tokens_given=sum(given))
        changed = added(groups, starts, rollouts, counts)
        tokens = sum(len(rollout.token_ids) for rollout in rollouts)
        return Outcome(groups=changed, counts={**counts, "tokens_added": tokens, "budget": budget})


def _affordable(tokens: float, mean: float, rng: random.Random, *, is_last: bool) -> int:
    """How many rollouts of that mean length the tokens pay for; the last fraction of one is drawn, so that the mean of
    many steps is exact.
    """
    if tokens <= 0 or mean <= 0:
        return 0
    count = tokens / mean
    return math.floor(count + rng.random()) if is_last else math.floor(FIRST_SHARE * count)
