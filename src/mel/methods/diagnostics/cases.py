"""Whose wrong solutions are looked at, and what attempts had been given: read off groups and outcomes, by no name."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mel.methods.declaration import Surroundings
from mel.stages.localize import first_difference
from mel.stages.pairs import select_pairs
from mel.types import Group, Outcome, Pair, TokenIds


@dataclass(frozen=True, kw_only=True, slots=True)
class Located:
    """A wrong solution with the step that is blamed for it."""

    pair: Pair
    step: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Hinted:
    """Attempts at a problem that were given something, and what is left of them without it.

    Args:
        group: whose problem was attempted, as the host rolled it out.
        prefix_ids: the beginning that the attempts continued, which is no hint; empty from the start.
        verdicts: whether each attempt was right.
    """

    group: Group
    prefix_ids: TokenIds
    verdicts: tuple[bool, ...]


def located_cases(
    groups: Sequence[Group], outcomes: Mapping[str, Outcome], at: Surroundings, *, step: int
) -> list[Located]:
    """A wrong solution and its s* of every experience; where nobody writes any, of a pair of each mixed group.

    Without a ledger s* is the first step that reads otherwise than in the right solution.

    Args:
        groups: as the host rolled them out.
        step: of the optimizer; seeds the choice of pairs.
    """
    ledger = [item.candidate for outcome in outcomes.values() for item in outcome.replayed]
    if ledger:
        return [Located(pair=c.pair, step=c.experience.bifurcation) for c in ledger if c.experience is not None]
    return [
        Located(pair=pair, step=number)
        for group in groups
        for pair in _pairs(group, at, step)
        if (number := first_difference(pair)) is not None
    ]


def _pairs(group: Group, at: Surroundings, step: int) -> tuple[Pair, ...]:
    rng = random.Random(f"{at.seed}:{step}:{group.problem.id}:diagnostics")
    return select_pairs(group, at.steps, per_group=1, choose="closest_distinct", rng=rng).pairs


def hinted_cases(groups: Sequence[Group], outcomes: Mapping[str, Outcome]) -> list[Hinted]:
    """What was attempted with a note in the prompt, after another prompt than the group's, or behind given tokens.

    Args:
        groups: as the host rolled them out; those that an auxiliary put behind them count by their problem.
    """
    noted = [
        Hinted(
            group=item.group,
            prefix_ids=item.prefix_ids,
            verdicts=tuple(attempt.verdict.is_correct for attempt in item.attempts),
        )
        for outcome in outcomes.values()
        for item in outcome.replayed
        # A replay without a note, as a control makes it, was sampled from the group's own prompt.
        if item.attempts and item.prompt_ids != item.group.prompt_ids
    ]
    return noted + _given(groups, outcomes)


def _given(groups: Sequence[Group], outcomes: Mapping[str, Outcome]) -> list[Hinted]:
    plain = {group.problem.id: group for group in groups}
    changed = {id(r): (group, r) for o in outcomes.values() for group in o.groups or () for r in group.rollouts}
    return [
        Hinted(group=plain[group.problem.id], prefix_ids=(), verdicts=(rollout.verdict.is_correct,))
        for group, rollout in changed.values()
        if group.problem.id in plain and (rollout.context_ids is not None or len(rollout.hint))
    ]
