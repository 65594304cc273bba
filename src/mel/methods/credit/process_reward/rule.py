"""Advantages by token: the carrier's for the outcome, and what each step earns above the rest of its group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mel.methods.credit.process_reward.settings import ProcessRewardSettings
from mel.methods.credit.process_reward.sources import by_continuations, by_model, by_outcomes, parts_of
from mel.methods.declaration import Surroundings
from mel.ports import Requests
from mel.stages.process_reward import combined, step_advantages
from mel.types import Group, Outcome

_SOURCES = {"monte_carlo": by_continuations, "model": by_model, "implicit": by_outcomes}


class ProcessReward:
    """Outcome and process advantages, added up; the process part is 0 in groups whose steps are not valued."""

    name = ProcessRewardSettings.name

    def __init__(self, settings: ProcessRewardSettings, at: Surroundings) -> None:
        self.settings = settings
        self._at = at

    def assign(
        self, groups: Sequence[Group], advantages: Sequence[Sequence[float]], outcomes: Mapping[str, Outcome]
    ) -> Requests[list[list[list[float]]] | None]:
        s = self.settings
        valued = [i for i, group in enumerate(groups) if s.groups == "all" or group.is_mixed]
        parts = {i: [parts_of(groups[i], r, self._at, most=s.most_steps) for r in groups[i].rollouts] for i in valued}
        rewards = yield from _SOURCES[s.source]([part for i in valued for part in parts[i]], s, self._at)
        flat = iter(rewards)
        process: dict[int, list[list[float]]] = {}
        for i in valued:
            weighted = [combined(next(flat), combine=s.combine, temperature=s.temperature) for _ in parts[i]]
            process[i] = step_advantages(weighted, [part.spans for part in parts[i]])
        return [self._added(group, advantages[i], process.get(i)) for i, group in enumerate(groups)]

    def _added(
        self, group: Group, advantages: Sequence[float], process: Sequence[Sequence[float]] | None
    ) -> list[list[float]]:
        s = self.settings
        outcome = [[s.outcome * a] * len(r.token_ids) for a, r in zip(advantages, group.rollouts, strict=True)]
        if process is None:
            return outcome
        return [[a + s.weight * p for a, p in zip(*both, strict=True)] for both in zip(outcome, process, strict=True)]
