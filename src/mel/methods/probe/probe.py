"""The probe from the first solution to the last attempt."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from mel.methods.declaration import Surroundings
from mel.methods.probe.noting import noted
from mel.methods.probe.replaying import replay_scores
from mel.methods.probe.scores import Scores
from mel.methods.probe.setting import ProbeSetting
from mel.methods.probe.solving import solved, solving_scores
from mel.ports import Ask, Requests
from mel.stages.pairs import select_pairs
from mel.types import Completion, Group, Pair, Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Probed:
    """What a probe found.

    Args:
        pairs: how many pairs the notes are about, one of each mixed group that has one.
        greedy, groups: the solutions themselves, for whoever knows more to ask of them.
    """

    scores: Scores
    pairs: int
    greedy: tuple[Completion, ...]
    groups: tuple[Group, ...]


def probe(problems: Sequence[Problem], ask: Ask, at: Surroundings, setting: ProbeSetting) -> Requests[Probed]:
    """Solve, contrast, write notes, and see whether they cause anything: figures of this policy on these problems.

    Args:
        problems: with different ids.
        at: its prompt set must have `construct` and `replay`.
    """
    greedy, is_right, groups = yield from solved(problems, ask, at, samples=setting.samples)
    pairs = [pair for group in groups for pair in _pair_of(group, at, setting)]
    notes, about_notes = yield from noted(pairs, at, setting)
    replays = yield from replay_scores(notes, at, setting)
    return Probed(
        scores={**solving_scores(groups, is_right), **about_notes, **replays},
        pairs=len(pairs),
        greedy=tuple(greedy),
        groups=tuple(groups),
    )


def _pair_of(group: Group, at: Surroundings, setting: ProbeSetting) -> tuple[Pair, ...]:
    rng = random.Random(f"{at.seed}:{group.problem.id}")
    return select_pairs(group, at.steps, per_group=1, choose=setting.construction.choose, rng=rng).pairs
