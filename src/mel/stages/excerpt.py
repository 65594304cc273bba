"""Excerpt: what is shown of two solutions that are too long to be shown whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mel.types import Excerpt, Pair, Step


def excerpts(pair: Pair) -> tuple[Excerpt, ...]:
    """What may be shown of a pair, from the whole of it to the smallest part in which the two still differ.

    Left out first are the steps that both solutions share at the beginning, one by one from the first: they cannot
    be where the solutions part, and the last of them leads up to the steps that differ, so it stays longest. Then
    steps are left out at the ends, each time of the longer solution (in characters; of y+ if both are equally long,
    since s* is a step of y-). The first step that differs always remains of each. A solution that is the beginning of
    the other has no such step; then both keep their last step.
    """
    # Paper: the whole solutions, whatever their length.
    whole, shared = pair.whole, pair.shared_steps
    most = min(shared, len(whole.right) - 1, len(whole.wrong) - 1)
    found = [Excerpt(right=whole.right[left_out:], wrong=whole.wrong[left_out:]) for left_out in range(most + 1)]
    while max(found[-1].right[-1], found[-1].wrong[-1]) > shared + 1:
        found.append(_without_a_last_step(found[-1], pair, parting=shared + 1))
    return tuple(found)


def _without_a_last_step(shown: Excerpt, pair: Pair, *, parting: int) -> Excerpt:
    is_right_longer = _length(pair.right_steps, shown.right) >= _length(pair.wrong_steps, shown.wrong)
    if shown.wrong[-1] <= parting or (is_right_longer and shown.right[-1] > parting):
        return replace(shown, right=shown.right[:-1])
    return replace(shown, wrong=shown.wrong[:-1])


def _length(steps: Sequence[Step], shown: range) -> int:
    return steps[shown[-1] - 1].end - steps[shown[0] - 1].start
