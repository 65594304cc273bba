"""StepHint (arXiv 2507.02841): rollouts that begin with the first steps of a right solution join the group.

The chain of the paper comes from a stronger model; here it is the policy's own shortest right rollout of the problem.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from mel.methods.attempts import Start, added, attempts
from mel.methods.declaration import AuxiliarySettings, Surroundings
from mel.methods.needs import Assumptions, Expected, Limits, Longest, Needs
from mel.ports import Auxiliary, Requests
from mel.stages.join import shortest_right
from mel.types import Group, Outcome, Rollout, TokenIds

Which = Literal["mixed", "solved"]


class StepHintSettings(AuxiliarySettings):
    """How much is given, how often, and to which groups."""

    name: ClassVar[str] = "step_hint"
    label: ClassVar[str] = "StepHint"
    changes_groups: ClassVar[bool] = True
    rates: ClassVar[Mapping[str, tuple[str, str]]] = {
        "success": ("right", "added"),
        "hinted_share": ("hinted", "groups"),
    }

    levels: int = Field(
        default=2, ge=1, description="Hints of different lengths, evenly spread over the chain's steps."
    )
    rollouts: int = Field(default=2, ge=1, description="Rollouts per level (paper: several).")
    where: Which = Field(
        default="mixed",
        description="mixed: groups with a right and a wrong rollout. solved: those where all are right too (paper: all "
        "groups, whose chains come from a stronger model).",
    )

    def build(self, at: Surroundings) -> Auxiliary:
        return StepHint(self, at)

    def needs(self, limits: Limits) -> Needs:
        phase, row = (
            Longest(
                phase=name,
                prompt=limits.prompt + given,
                completion=limits.completion + more,
                knob="settings.levels",
                per_group=self.levels * self.rollouts,
            )
            for name, given, more in (("hint", limits.completion, 0), ("row", 0, limits.completion))
        )
        return Needs(phases=(phase,), row=row)

    def expected(self, at: Assumptions) -> Expected:
        count = at.mixed_share * self.levels * self.rollouts
        # Hints are 1/(levels + 1), 2/(levels + 1), ... of a solution: half of one on average.
        half = count * at.solution_tokens / 2
        return Expected(
            generated={"hint": half},
            sequences={"hint": count},
            read=count * at.prompt_tokens + half,
            rows=count,
            row_tokens=2 * half,
            row_context=count * at.prompt_tokens,
        )


class StepHint:
    """Adds hinted rollouts to groups that hold a right one."""

    name = StepHintSettings.name

    def __init__(self, settings: StepHintSettings, surroundings: Surroundings) -> None:
        self.settings = settings
        self._at = surroundings

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        """The groups with a rollout behind them for every level and repetition."""
        counts: Counter[str] = Counter(groups=len(groups))
        starts: list[Start] = []
        for place, group in enumerate(groups):
            hints = self._hints(group, counts)
            starts += [
                Start(place=place, group=group, given=hint) for hint in hints for _ in range(self.settings.rollouts)
            ]
            counts["hinted"] += bool(hints)
        rollouts = yield from attempts(starts, self._at.rollout_sampling(), "hint", self._at)
        return Outcome(groups=added(groups, starts, rollouts, counts), counts=dict(counts))

    def _hints(self, group: Group, counts: Counter[str]) -> list[TokenIds]:
        """What is given, from the shortest hint to the longest; nothing for a group that has no chain or needs none."""
        if not (group.is_mixed if self.settings.where == "mixed" else group.pass_rate > 0):
            counts["skipped/group"] += 1
            return []
        chain = shortest_right(group)
        hints = [] if chain is None else self._levels(chain)
        counts.update({} if hints else {"skipped/no_steps": 1})
        return hints

    def _levels(self, chain: Rollout) -> list[TokenIds]:
        steps, levels = self._at.steps(chain.text), self.settings.levels
        # Paper: step ends where the probability of ending the thought falls. Here the task's steps, in equal parts.
        counts = {round(level * len(steps) / (levels + 1)) for level in range(1, levels + 1)}
        ends = [steps[n].start for n in sorted(counts) if 0 < n < len(steps)]
        return [chain.token_ids[: self._at.tokenizer.token_index(chain.token_ids, end)] for end in ends]
