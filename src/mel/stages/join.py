"""Join: a further attempt at a problem becomes a rollout of its group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mel.types import Completion, Group, Rollout, TokenIds, Verdict


def as_rollout(
    completion: Completion,
    verdict: Verdict,
    *,
    text: str,
    given: TokenIds = (),
    context_ids: TokenIds | None = None,
) -> Rollout:
    """The attempt as a rollout whose first tokens were given; its reward is its verdict's.

    Args:
        text: of the whole attempt, what was given included.
        context_ids: what it was sampled from, where that is not the group's prompt.
    """
    return Rollout(
        token_ids=given + completion.token_ids,
        text=text,
        verdict=verdict,
        reward=verdict.reward,
        is_truncated=completion.is_truncated,
        context_ids=context_ids,
        hint=range(len(given)),
    )


def has_sample(rollout: Rollout) -> bool:
    """Whether the policy sampled any of its tokens: one without has no gradient."""
    return len(rollout.token_ids) > len(rollout.hint)


def is_unaided(rollout: Rollout) -> bool:
    """Sampled from the group's prompt with nothing given."""
    return rollout.context_ids is None and not rollout.hint


def shortest_right(group: Group, *, other_than: Rollout | None = None) -> Rollout | None:
    """The right rollout with the fewest tokens, among those that ended by themselves and were given nothing.

    Args:
        other_than: one that is not taken.
    """
    found = [
        r
        for r in group.rollouts
        if r.verdict.is_correct and is_unaided(r) and not r.is_truncated and r is not other_than
    ]
    return min(found, key=lambda rollout: len(rollout.token_ids), default=None)


def with_more(group: Group, rollouts: Sequence[Rollout]) -> Group:
    """The group with these rollouts behind its own; the same object if there are none."""
    return replace(group, rollouts=(*group.rollouts, *rollouts)) if rollouts else group


def with_replaced(group: Group, index: int, rollout: Rollout) -> Group:
    """The group with this rollout in the place of the one at that position."""
    return replace(group, rollouts=(*group.rollouts[:index], rollout, *group.rollouts[index + 1 :]))
