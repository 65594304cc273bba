"""Pair: a right and a wrong rollout of the same problem (section 3.2)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mel.ports import Steps
from mel.types import Group, Pair, Rollout, Step

Choose = Literal["random", "closest", "closest_distinct", "shortest_longest"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """The pairs of one group and what was passed over.

    Args:
        skipped: counts by reason: `group_not_mixed` (of groups), `truncated` and `no_steps` (of rollouts),
            `same_steps` (of pairs, by `closest_distinct`).
    """

    pairs: tuple[Pair, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)


def select_pairs(group: Group, steps: Steps, *, per_group: int, choose: Choose, rng: random.Random) -> Selection:
    """Up to `per_group` different pairs of a mixed group; none of any other group.

    A rollout without steps cannot be compared, and a truncated one is wrong because it was cut rather than
    because of an error, so neither is paired; both are counted.

    Args:
        steps: the task's segmentation of a solution.
        choose: `random`: uniformly over all right-wrong pairs. `closest`: the longest shared beginning, in
            steps, first; ties at random. `closest_distinct`: the same among pairs with a step that differs, and
            each wrong rollout at most once. `shortest_longest`: the shortest right rollout with the longest wrong one
            first, in tokens, then the next longest with it; ties at random.
        rng: seeded per (run, step, problem), so that a resumed run pairs alike.
    """
    if not group.is_mixed:
        return Selection(skipped={"group_not_mixed": 1})
    # Paper: nothing is said of truncated attempts.
    skipped: Counter[str] = Counter()
    usable: list[tuple[int, Rollout, tuple[Step, ...]]] = []
    for index, rollout in enumerate(group.rollouts):
        found = () if rollout.is_truncated else steps(rollout.text)
        if found:
            usable.append((index, rollout, found))
        else:
            skipped["truncated" if rollout.is_truncated else "no_steps"] += 1
    pairs = [
        Pair(group=group, right=right, wrong=wrong, wrong_index=index, right_steps=right_steps, wrong_steps=wrong_steps)
        for _, right, right_steps in usable
        if right.verdict.is_correct
        for index, wrong, wrong_steps in usable
        if not wrong.verdict.is_correct
    ]
    rng.shuffle(pairs)
    if choose == "closest_distinct":
        parting = [pair for pair in pairs if not _reads_the_same(pair)]
        skipped.update({"same_steps": len(pairs) - len(parting)} if len(parting) < len(pairs) else {})
        pairs = parting
    return Selection(pairs=tuple(_ordered(pairs, choose)[:per_group]), skipped=dict(skipped))


def _ordered(pairs: list[Pair], choose: Choose) -> list[Pair]:
    """The pairs, first choice first; those that are alike stay in their order."""
    if choose == "random":
        return pairs
    if choose == "shortest_longest":
        return sorted(pairs, key=lambda pair: (len(pair.right.token_ids), -len(pair.wrong.token_ids)))
    nearest_first = sorted(pairs, key=lambda pair: pair.shared_steps, reverse=True)
    if choose == "closest":
        return nearest_first
    of_wrong: dict[int, Pair] = {}
    for pair in nearest_first:
        of_wrong.setdefault(pair.wrong_index, pair)
    return list(of_wrong.values())


def _reads_the_same(pair: Pair) -> bool:
    """No step differs: the attempts part after their last step, so no step number could say where."""
    return pair.shared_steps == len(pair.right_steps) == len(pair.wrong_steps)
