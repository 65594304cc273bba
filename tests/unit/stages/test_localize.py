"""Which step of y- is blamed where the critique itself does not decide; one token a word, six words a step."""

from __future__ import annotations

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
    bytes_bpe,
    ids,
    pair,
    words,
)

from mel.stages.localize import Bisection, agreed, any_step, first_difference, least_likely, steepest_fall, true_step


@pytest.mark.parametrize(("wrong", "step"), [(WRONG_AT_1, 1), (WRONG_AT_2, 2), (WRONG_AT_3, 3)])
def test_the_first_step_that_reads_otherwise_than_the_right_solution(wrong: str, step: int) -> None:
    assert first_difference(pair(wrong)) == step


def test_a_solution_that_reads_the_same_or_only_stops_earlier_has_no_step_that_differs() -> None:
    assert first_difference(pair(WRONG_ANSWER_ONLY)) is None
    assert first_difference(pair("1) finds plus 3 = 53 answer 53")) is None
    assert first_difference(pair(NO_STEPS)) is None


def test_a_further_step_differs_from_a_solution_that_had_ended() -> None:
    assert first_difference(pair(RIGHT.replace(" answer 48", " 4) loses minus 5 = 43 answer 43"))) == 4


def test_any_step_is_drawn_from_all_of_them() -> None:
    drawn = [any_step(pair(), random.Random(seed)) for seed in range(60)]
    assert set(drawn) == {1, 2, 3}
    assert any_step(pair(), random.Random(7)) == any_step(pair(), random.Random(7))
    assert any_step(pair(NO_STEPS), random.Random(0)) is None


def logps(*of_steps: float, rest: float = 0.0) -> list[float]:
    """Every token of a step has the value of that step; the answer's three have the rest."""
    return [value for value in of_steps for _ in range(6)] + [rest] * 3


@pytest.mark.parametrize(("values", "step"), [((-1, -2, -1), 2), ((-3, -2, -1), 1), ((-1, -2, -2.5), 3)])
def test_the_step_with_the_lowest_sum_is_the_least_likely(values: tuple[float, ...], step: int) -> None:
    assert least_likely(pair(), logps(*values), words()) == step


def test_what_stands_outside_every_step_is_not_blamed() -> None:
    assert len(pair().wrong.token_ids) == len(logps(0, 0, 0))
    assert least_likely(pair(), logps(-1, -2, -1, rest=-99), words()) == 2


def test_of_steps_alike_the_first_is_blamed_and_without_steps_none() -> None:
    assert least_likely(pair(), logps(-2, -1, -2), words()) == 1
    assert least_likely(pair(NO_STEPS), [-1.0] * 3, words()) is None


def test_tokens_are_summed_within_the_steps_of_any_tokenizer() -> None:
    of = pair(WRONG_AT_3, tokenizer=bytes_bpe())
    start = len(ids("1) finds plus 3 = 53 2) sorts same 2 = 53", bytes_bpe()))
    values = [-0.1] * len(of.wrong.token_ids)
    values[start + 1] = -40.0
    assert least_likely(of, values, bytes_bpe()) == 3


def test_the_task_says_which_step_is_wrong_or_that_none_is() -> None:
    assert [true_step(pair(wrong), TASK) for wrong in (WRONG_AT_1, WRONG_AT_2, WRONG_AT_3)] == [1, 2, 3]
    assert true_step(replace(pair(), wrong=pair().right), TASK) is None


def test_the_step_that_falls_most_is_blamed_however_unlikely_others_are() -> None:
    # Sums of six tokens: -60, -6, -12 alone; -63, -12, -15 beside y+; falls of 3, 6, 3.
    alone, beside = logps(-10, -1, -2), logps(-10.5, -2, -2.5)
    assert least_likely(pair(), alone, words()) == least_likely(pair(), beside, words()) == 1
    assert steepest_fall(pair(), alone, beside, words()) == 2
    assert steepest_fall(pair(NO_STEPS), [-1.0] * 3, [-2.0] * 3, words()) is None


@pytest.mark.parametrize(
    ("stated", "difference", "value", "step"),
    [(3, 1, 3, 3), (1, 1, 3, 1), (2, 1, 3, 2), (4, 1, 3, 3), (4, 2, None, 2), (4, None, None, 4)],
)
def test_a_stated_step_is_kept_if_confirmed_and_else_the_earlier_of_it_and_the_new_value(
    stated: int, difference: int | None, value: int | None, step: int
) -> None:
    assert agreed(stated, difference, value) == step


def test_bisection_finds_the_first_lost_step_of_eight_in_three_probes() -> None:
    search, probes = Bisection(sound=0, lost=8), []
    while (probe := search.probe) is not None:
        probes.append(probe)
        # Step 3 is wrong; more than half of the pass rate 0.8 is left before it, exactly half behind it.
        search = search.told(0.5 if probe < 3 else 0.4, 0.8)
    assert (probes, search.step) == ([4, 2, 3], 3)
    assert search.told(1.0, 0.8) == search


def test_a_single_step_needs_no_probe() -> None:
    assert (Bisection(sound=0, lost=1).probe, Bisection(sound=0, lost=1).step) == (None, 1)
