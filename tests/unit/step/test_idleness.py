"""A run that learns nothing says so once per reason, the cause before what follows from it, with what to turn."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mel.step.idleness import ROLLOUTS, Patience, Reasons, idle_rollouts, signs_of
from mel.types import Group, Problem, Rollout, Verdict


def group(*reasons: str, cut: bool = False) -> Group:
    rollouts = tuple(
        Rollout(token_ids=(1,), text="", verdict=Verdict(is_correct=r == "right", reason=r), reward=0, is_truncated=cut)
        for r in reasons
    )
    return Group(problem=Problem(id="p", text="", answer=""), prompt_ids=(), rollouts=rollouts)


def reasons(*groups: Group) -> list[str]:
    return list(idle_rollouts(signs_of(groups), reward=0.0))


def test_one_mixed_group_is_enough_to_learn_from() -> None:
    assert reasons(group("wrong", "wrong"), group("wrong", "right", cut=True)) == []


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([group("right", "right"), group("wrong", "wrong")], ["not_mixed"]),
        ([group("wrong", "wrong", cut=True)], ["truncated", "not_mixed"]),
        ([group("wrong", "wrong", cut=True), group("wrong", "wrong")], ["not_mixed"]),
        ([group("no_final_answer", "no_final_answer")], ["no_final_answer", "not_mixed"]),
        ([group("timeout", "timeout", cut=True)], ["truncated", "timeout", "not_mixed"]),
        ([group("no_final_answer", "timeout")], ["not_mixed"]),
    ],
)
def test_without_a_mixed_group_the_cause_comes_before_what_follows(
    groups: Sequence[Group], expected: list[str]
) -> None:
    assert reasons(*groups) == expected


def spoken(*batches: Reasons | None, owner: str = ROLLOUTS) -> list[tuple[int, str]]:
    """Number of the batch and what is said after it, with a patience of two batches."""
    patience = Patience(2)
    return [(i, text) for i, reasons in enumerate(batches, 1) for text in patience.after({owner: reasons})]


CUT = {"truncated": "raise it", "not_mixed": "harder"}
UNMIXED = {"not_mixed": "harder"}


def test_a_reason_is_said_once_and_what_follows_from_it_not_at_all() -> None:
    assert spoken(CUT, CUT, CUT, CUT) == [(2, "nothing was learned in 2 generation batches: raise it")]


def test_a_batch_that_taught_something_starts_the_count_again() -> None:
    assert spoken(UNMIXED, {}, UNMIXED, {}, UNMIXED) == []


def test_a_batch_with_nothing_to_learn_from_leaves_the_count_as_it_is() -> None:
    told = [(3, "notes: nothing was learned in 2 generation batches: harder")]
    assert spoken(UNMIXED, None, UNMIXED, owner="notes") == told


def test_reasons_that_take_turns_count_together_and_the_most_frequent_is_said() -> None:
    long, short = {"no_pairs": "longer"}, {"nothing_parses": "another"}
    told = spoken(long, {}, short, long, long, owner="notes")
    assert [(batch, text.rpartition(": ")[2]) for batch, text in told] == [(4, "another"), (5, "longer")]


def test_each_reason_that_lasts_is_said_by_itself() -> None:
    told = spoken(CUT, CUT, UNMIXED, UNMIXED)
    assert [(batch, text.rpartition(": ")[2]) for batch, text in told] == [(2, "raise it"), (3, "harder")]
