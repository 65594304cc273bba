"""Pairs of a group: which ones, in which order, and what was passed over."""

import random
from dataclasses import replace

import pytest
from stories import (
    NO_STEPS,
    RIGHT,
    TASK,
    WRONG_ANSWER_ONLY,
    WRONG_AT_1,
    WRONG_AT_2,
    WRONG_AT_3,
    group,
    rollout,
)

from mel.stages.pairs import Choose, Selection, select_pairs
from mel.types import Group


def chosen(of: Group, *, per_group: int = 1, choose: Choose = "random", seed: int = 0) -> Selection:
    return select_pairs(of, TASK.steps, per_group=per_group, choose=choose, rng=random.Random(seed))


def indices(selection: Selection) -> list[tuple[int, int]]:
    """(right, wrong) as positions in the group; of equal rollouts by identity."""
    return [(next(i for i, r in enumerate(p.group.rollouts) if r is p.right), p.wrong_index) for p in selection.pairs]


@pytest.mark.parametrize("texts", [(), (RIGHT, RIGHT), (WRONG_AT_1, WRONG_AT_2)], ids=["empty", "right", "wrong"])
def test_a_group_that_is_not_mixed_yields_no_pair(texts: tuple[str, ...]) -> None:
    selection = chosen(group(*texts), per_group=4)
    assert selection.pairs == ()
    assert selection.skipped == {"group_not_mixed": 1}


def test_a_pair_is_a_right_and_a_wrong_rollout_with_their_steps() -> None:
    (pair,) = chosen(group(WRONG_AT_2, RIGHT)).pairs
    assert (pair.right.text, pair.wrong.text) == (RIGHT, WRONG_AT_2)
    assert pair.wrong_index == 0
    assert [pair.wrong.text[s.start : s.end] for s in pair.wrong_steps] == [
        "1) finds plus 3 = 53",
        "2) sorts minus 2 = 51",
        "3) loses minus 5 = 46",
    ]
    assert pair.problem.id == "p"


def test_truncated_rollouts_and_rollouts_without_steps_are_counted_not_paired() -> None:
    mixed = group(RIGHT, NO_STEPS, WRONG_AT_2)
    mixed = replace(mixed, rollouts=(*mixed.rollouts, rollout("1) finds", cut=True)))
    selection = chosen(mixed, per_group=10)
    assert indices(selection) == [(0, 2)]
    assert selection.skipped == {"no_steps": 1, "truncated": 1}


def test_a_mixed_group_whose_only_right_rollout_has_no_steps_yields_no_pair() -> None:
    mixed = group(WRONG_AT_1, RIGHT)
    no_steps = replace(mixed.rollouts[1], text="answer 48")
    selection = chosen(replace(mixed, rollouts=(mixed.rollouts[0], no_steps)))
    assert selection.pairs == ()
    assert selection.skipped == {"no_steps": 1}


def test_asking_for_more_pairs_than_there_are_yields_each_once() -> None:
    selection = chosen(group(RIGHT, WRONG_AT_1, RIGHT, WRONG_AT_2), per_group=99)
    assert sorted(indices(selection)) == [(0, 1), (0, 3), (2, 1), (2, 3)]


def test_the_same_seed_pairs_alike_and_seeds_reach_every_pair() -> None:
    mixed = group(RIGHT, WRONG_AT_1, WRONG_AT_2, WRONG_AT_3)
    first = [indices(chosen(mixed, seed=s)) for s in range(30)]
    assert first == [indices(chosen(mixed, seed=s)) for s in range(30)]
    assert {pair for pairs in first for pair in pairs} == {(0, 1), (0, 2), (0, 3)}


@pytest.mark.parametrize(
    ("wrong", "shared"),
    [(WRONG_AT_1, 0), (WRONG_AT_2, 1), (WRONG_AT_3, 2), (WRONG_ANSWER_ONLY, 3)],
)
def test_shared_steps_are_counted_up_to_the_first_that_differs(wrong: str, shared: int) -> None:
    (pair,) = chosen(group(RIGHT, wrong)).pairs
    assert pair.shared_steps == shared


@pytest.mark.parametrize("seed", range(5))
def test_the_closest_pair_shares_the_longest_beginning(seed: int) -> None:
    mixed = group(WRONG_AT_1, WRONG_AT_3, RIGHT, WRONG_AT_2)
    assert indices(chosen(mixed, per_group=3, choose="closest", seed=seed)) == [(2, 1), (2, 3), (2, 0)]


def test_ties_between_closest_pairs_fall_at_random() -> None:
    mixed = group(RIGHT, WRONG_AT_2, WRONG_AT_2)
    assert {indices(chosen(mixed, choose="closest", seed=s))[0] for s in range(20)} == {(0, 1), (0, 2)}


@pytest.mark.parametrize("seed", range(5))
def test_closest_may_use_one_wrong_rollout_twice_and_closest_distinct_does_not(seed: int) -> None:
    mixed = group(RIGHT, RIGHT, WRONG_AT_3, WRONG_AT_1)
    assert [wrong for _, wrong in indices(chosen(mixed, per_group=2, choose="closest", seed=seed))] == [2, 2]
    distinct = chosen(mixed, per_group=2, choose="closest_distinct", seed=seed)
    assert [wrong for _, wrong in indices(distinct)] == [2, 3]


def test_closest_distinct_leaves_out_pairs_without_a_step_that_differs() -> None:
    mixed = group(RIGHT, WRONG_ANSWER_ONLY, WRONG_AT_1)
    assert indices(chosen(mixed, choose="closest")) == [(0, 1)]
    distinct = chosen(mixed, per_group=2, choose="closest_distinct")
    assert indices(distinct) == [(0, 2)]
    assert distinct.skipped == {"same_steps": 1}


@pytest.mark.parametrize("seed", range(5))
def test_the_shortest_right_rollout_meets_the_longest_wrong_one_first(seed: int) -> None:
    # 21 tokens each, 6 more with a fourth step: the right one of 21 with the wrong ones of 27 and 21, then that of 27.
    longer = RIGHT.replace(" answer", " 4) sees same 1 = 48 answer")
    wrong_longer = WRONG_AT_2.replace(" answer", " 4) sees same 1 = 46 answer")
    mixed = group(longer, WRONG_AT_2, RIGHT, wrong_longer)
    found = chosen(mixed, per_group=3, choose="shortest_longest", seed=seed)
    assert indices(found) == [(2, 3), (2, 1), (0, 3)]


def test_a_wrong_rollout_that_stops_early_still_has_something_to_contrast() -> None:
    short = "1) finds plus 3 = 53 2) sorts same 2 = 53 answer 53"
    assert indices(chosen(group(RIGHT, short), choose="closest_distinct")) == [(0, 1)]
