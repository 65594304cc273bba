"""Blocks of a rollout and what they are measured against, by hand."""

from dataclasses import replace

import pytest
from stories import RIGHT, WRONG_AT_2, rollout

from mel.stages.blocks import block_reward, blocks_of, conditioned_baselines
from mel.types import Verdict


def test_a_text_is_cut_where_each_mark_stands_last() -> None:
    text = "so answer 3, no: answer 4 sure 80%"
    found = [text[b.start : b.end] for b in blocks_of(text, ["answer", "sure"])]
    assert found == ["so answer 3, no: ", "answer 4 ", "sure 80%"]


def test_a_mark_that_is_missing_begins_an_empty_block_at_the_end() -> None:
    assert [(b.start, b.end) for b in blocks_of("no end", ["answer"])] == [(0, 6), (6, 6)]
    # `sure` stands before `answer` only.
    assert [(b.start, b.end) for b in blocks_of("sure answer", ["answer", "sure"])] == [(0, 5), (5, 11), (11, 11)]


def test_a_form_earns_whether_an_answer_was_read() -> None:
    stated = [block_reward("form", rollout(text), "") for text in (RIGHT, WRONG_AT_2, "1) finds plus")]
    assert stated == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("block", "earned"),
    [("sure 0.8", -0.04), ("sure 80%", -0.04), ("sure 1", 0.0), ("sure 7", 0.0), ("sure .5, or 1", -0.25), ("", -1.0)],
)
def test_a_stated_probability_earns_the_brier_score(block: str, earned: float) -> None:
    assert block_reward("brier", rollout(RIGHT), block) == pytest.approx(earned)


def test_a_wrong_rollout_that_was_sure_loses_most() -> None:
    wrong = replace(rollout(RIGHT), verdict=Verdict(is_correct=False, reason="wrong"))
    assert block_reward("brier", wrong, "0.9") == pytest.approx(-0.81)


def test_a_baseline_is_that_of_the_same_outcome_drawn_towards_all() -> None:
    # right: 1 and 0, mean 1/2; wrong: 1, mean 1; all: 2/3.
    rewards, strata = [1.0, 0.0, 1.0], [True, True, False]
    assert conditioned_baselines(rewards, strata, kappa=0.0) == [0.5, 0.5, 1.0]
    # kappa 1: (1 + 2/3) / 3 = 5/9 and (1 + 2/3) / 2 = 5/6.
    assert conditioned_baselines(rewards, strata, kappa=1.0) == pytest.approx([5 / 9, 5 / 9, 5 / 6])
    assert conditioned_baselines([], [], kappa=1.0) == []
