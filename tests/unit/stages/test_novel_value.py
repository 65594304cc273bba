"""The first step with a number that neither the problem nor the right solution states."""

from __future__ import annotations

from fractions import Fraction

import pytest
from stories import NO_STEPS, WRONG_ANSWER_ONLY, WRONG_AT_1, WRONG_AT_2, WRONG_AT_3, pair

from mel.stages.novel_value import novel_value, numbers
from mel.types import Group, Pair, Problem, Rollout, Step, Verdict


def rollout(text: str, *, is_correct: bool) -> Rollout:
    return Rollout(token_ids=(), text=text, verdict=Verdict(is_correct=is_correct, reason=""), reward=float(is_correct))


def lines(text: str) -> tuple[Step, ...]:
    """A step per line."""
    starts = [0, *(i + 1 for i, c in enumerate(text) if c == "\n")]
    ends = [*(start - 1 for start in starts[1:]), len(text)]
    return tuple(Step(number=n, start=a, end=b) for n, (a, b) in enumerate(zip(starts, ends, strict=True), 1))


def told(problem: str, right: str, wrong: str) -> Pair:
    """A pair in prose."""
    both = (rollout(right, is_correct=True), rollout(wrong, is_correct=False))
    return Pair(
        group=Group(problem=Problem(id="p", text=problem, answer=""), prompt_ids=(), rollouts=both),
        right=both[0],
        wrong=both[1],
        wrong_index=1,
        right_steps=lines(right),
        wrong_steps=lines(wrong),
    )


@pytest.mark.parametrize(("wrong", "step"), [(WRONG_AT_1, 1), (WRONG_AT_2, 2)])
def test_a_wrong_count_is_new(wrong: str, step: int) -> None:
    # 47 and 51 are neither in `start 50 finds 3 sorts 2 loses 5` nor in 53, 53, 48.
    assert novel_value(pair(wrong)) == step


@pytest.mark.parametrize("wrong", [WRONG_AT_3, WRONG_ANSWER_ONLY, NO_STEPS])
def test_no_step_is_named_where_none_states_a_new_value(wrong: str) -> None:
    # The third step repeats 53; the wrong answer 47 is no step.
    assert novel_value(pair(wrong)) is None


RIGHT = "Step 1: She pays 4 * 25 = 100 dollars.\nStep 2: Half of that is 50, so 1,150 dollars are left."


@pytest.mark.parametrize(
    ("wrong", "step"),
    [
        ("There are 4 of them.\nShe pays 4 x 25 = 110.\nSo 90 are left.", 2),
        ("Half is 0.5 of it.\nThat is 1150 dollars, or 1{,}150.\nSo twenty are left.", None),
        ("Step 7: The 4 cost 100.\nStep 8: 13% of it go.", 2),
        ("25% of it is 0.25 of it.\nTake 100-50=50.\nThe change is -50.", 3),
        (r"\frac{1}{2} is 50 of 100." + "\n" + r"\frac{3}{4} is more.", 2),
        ("I gave 12 away, three of them to him.", None),
    ],
)
def test_numbers_are_compared_by_their_values(wrong: str, step: int | None) -> None:
    problem = "A dozen pens cost money; she buys three and 4 more at 25% off."
    assert novel_value(told(problem, RIGHT, wrong)) == step


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,000 and 12,345.5 and 1,2", [[1000], [12345.5], [1], [2]]),
        (r"1{,}000, 1\,000", [[1000], [1000]]),
        ("3/4, 2 1/2, .5, 18.", [[Fraction(3, 4)], [2.5], [0.5], [18]]),
        (r"\dfrac{3}{4} x, ½", [[Fraction(3, 4)], [0.5]]),
        ("7 - 3, x-3, (2)-3", [[7], [3], [3], [2], [3]]),
        ("= -3, (-4), -$5, \N{MINUS SIGN}6", [[-3], [-4], [-5], [-6]]),
        ("25% of 1/0", [[25, 0.25], [1]]),
        ("no digits, seven words", []),
    ],
)
def test_numbers_are_read_as_they_are_written(text: str, values: list[list[float]]) -> None:
    assert numbers(text) == [frozenset(map(Fraction, readings)) for readings in values]


@pytest.mark.parametrize(
    ("words", "value"),
    [("twenty-five", "25"), ("two hundred and five", "205"), ("three thousand", "3000"), ("a dozen", "12")],
)
def test_a_number_in_words_makes_its_digits_known(words: str, value: str) -> None:
    assert novel_value(told(f"There are {words} of them.", "So it is.", f"It is {value}.")) is None
    assert novel_value(told("There are some of them.", "So it is.", f"It is {value}.")) == 1
