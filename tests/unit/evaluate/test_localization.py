"""Localization scores on solutions small enough to score by hand, and the localizers that ask no model."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mel.evaluate.localization import (
    BEST_CONSTANT,
    EVERYTHING,
    by_source,
    f1,
    free_scores,
    free_steps,
    scores_of,
)
from mel.evaluate.localization_result import LocalizationResult, localization_markdown
from mel.evaluate.step_errors import LabelledSolution

STEPS = ("2 + 3 = 5", "5 + 4 = 9", "9 - 1 = 8")


def solution(
    name: str, first_wrong: int, *, steps: Sequence[str] = STEPS, right: Sequence[str] = (), weight: float = 1.0,
    source: str = "hand",
) -> LabelledSolution:  # fmt: skip
    return LabelledSolution(
        id=name, said_id=name, source=source, problem="Add 2, 3 and 4, take 1.", steps=tuple(steps),
        first_wrong=first_wrong, right_steps=tuple(right), weight=weight,
    )  # fmt: skip


def test_f1_is_the_harmonic_mean_of_the_accuracies_on_wrong_and_on_right_solutions() -> None:
    wrong = [solution("a", 1), solution("b", 2), solution("c", 3), solution("d", 3)]
    right = [solution("e", 0), solution("f", 0)]
    named = {"a": 1, "b": 3, "c": 0, "d": None, "e": 0, "f": 2}
    found = scores_of("x", "hand", [*wrong, *right], named)
    assert (found.wrong, found.right) == (4, 2)
    assert found.exact == 0.25  # a alone
    assert found.within_one == 0.5  # a, and b which is named one step late
    assert found.named == 0.5  # a and b: c was said to be right, and what was said of d could not be read
    assert found.offset == 0.5  # (0 + 1) / 2
    assert found.accepted == 0.5  # e
    assert found.f1 == pytest.approx(1 / 3)  # 2 x 1/4 x 1/2 / (3/4)


def test_an_answer_that_cannot_be_read_does_not_say_that_a_solution_is_right() -> None:
    found = scores_of("x", "hand", [solution("a", 1), solution("e", 0)], {"a": 1, "e": None})
    assert (found.exact, found.accepted, found.f1) == (1.0, 0.0, 0.0)


def test_one_kind_of_solution_alone_has_no_f1_and_two_misses_have_zero() -> None:
    assert scores_of("x", "hand", [solution("a", 1)], {"a": 1}).f1 is None
    assert scores_of("x", "hand", [solution("e", 0)], {"e": 0}).f1 is None
    assert f1(0.0, 0.0) == 0.0
    assert f1(1.0, 1.0) == 1.0


def test_a_solution_that_is_shown_twice_counts_once() -> None:
    data = [solution("a", 1, weight=0.5), solution("a#2", 1, weight=0.5), solution("b", 2)]
    found = scores_of("x", "hand", data, {"a": 1, "a#2": 2, "b": 1})
    assert found.wrong == 2
    assert found.exact == 0.25  # half of the first of two


def test_sources_are_scored_apart_and_together() -> None:
    data = [solution("a", 1, source="p"), solution("b", 1, source="q"), solution("c", 2, source="q")]
    rows = by_source("x", data, {"a": 1, "b": 2, "c": 2})
    assert [(row.source, row.exact) for row in rows] == [("p", 1.0), ("q", 0.5), (EVERYTHING, pytest.approx(2 / 3))]
    assert [row.source for row in by_source("x", data[1:], {"b": 1, "c": 1})] == ["q"]


def test_the_constants_name_the_first_the_last_and_the_most_frequent_step() -> None:
    data = [solution("a", 2), solution("b", 2), solution("c", 3), solution("d", 1, steps=STEPS[:1]), solution("e", 0)]
    rows = {row.localizer: row for row in free_scores(data, names=(), seed=0)}
    assert rows["first_step"].exact == 0.25  # d
    assert rows["last_step"].exact == 0.5  # c and d
    assert rows[BEST_CONSTANT].exact == 0.5  # a and b
    assert {row.accepted for row in rows.values()} == {0.0}


def test_the_free_localizers_say_what_they_say_in_training() -> None:
    wrong, other = (STEPS[0], "5 + 4 = 8", "8 - 1 = 7"), ("2 + 3 = 6", *STEPS[1:])
    data = [solution("a", 2, steps=wrong, right=STEPS), solution("b", 1, steps=other, right=STEPS)]
    data.append(solution("same", 0, right=STEPS))
    assert free_steps("first_difference", data, seed=0) == {"a": 2, "b": 1, "same": 0}
    # 8 stands in y+ and 7 is new, so the value that is new comes a step late in the first; 6 is new in the second.
    assert free_steps("novel_value", data, seed=0) == {"a": 3, "b": 1, "same": 0}
    drawn = free_steps("random", data, seed=0)
    assert drawn == free_steps("random", data, seed=0)
    assert all(1 <= (step or 0) <= 3 for step in drawn.values())


def test_the_table_has_a_row_for_each_localizer_and_says_what_was_passed_over() -> None:
    data = [solution("a", 1), solution("e", 0)]
    result = LocalizationResult(
        data="x.jsonl",
        in_view=False,
        skipped={"no_steps": 3},
        scores=tuple(by_source("critique", data, {"a": 1, "e": 0})),
    )
    text = localization_markdown(result)
    assert "**hand**" in text
    assert "| critique | 1 | 100.0 | 100.0 | 100.0 | +0.00 | 1 | 100.0 | 100.0 |" in text
    assert "Records passed over: no steps 3." in text
