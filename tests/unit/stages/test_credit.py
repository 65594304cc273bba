"""Which tokens of a wrong rollout are excused, and what every token gets, by hand."""

from dataclasses import replace

import pytest
from stories import RIGHT, TASK, WRONG_AT_2, WRONG_AT_3, candidate, group, replayed

from mel.stages.credit import excused, located_errors, rewarded_prefix, zero_sum
from mel.types import Group, Pair, Replayed

LENGTH = 21  # three steps of six words, `answer`, the number, the end


def located(of: Group, wrong: int, step: int, *, is_kept: bool = True) -> Replayed:
    texts = of.rollouts[wrong].text
    pair = Pair(
        group=of,
        right=of.rollouts[0],
        wrong=of.rollouts[wrong],
        wrong_index=wrong,
        right_steps=TASK.steps(RIGHT),
        wrong_steps=TASK.steps(texts),
    )
    return replayed(candidate(pair, step=step), RIGHT, is_kept=is_kept)


def numbers(groups: list[Group], items: list[Replayed]) -> dict[tuple[int, int], int]:
    return {key: step.number for key, step in located_errors(groups, items).items()}


def test_no_groups_have_no_errors() -> None:
    assert numbers([], []) == {}


def test_an_experience_that_was_not_kept_locates_nothing() -> None:
    both = group(RIGHT, WRONG_AT_2)
    assert numbers([both], [located(both, 1, 2, is_kept=False)]) == {}


def test_of_two_located_steps_of_one_rollout_the_earlier_decides() -> None:
    both = group(RIGHT, WRONG_AT_3)
    items = [located(both, 1, 3), located(both, 1, 2)]
    assert numbers([both], items) == numbers([both], items[::-1]) == {(0, 1): 2}


def test_each_group_and_rollout_has_its_own_error() -> None:
    first, second = group(RIGHT, WRONG_AT_2, WRONG_AT_3), group(RIGHT, WRONG_AT_2)
    items = [located(first, 2, 3), located(second, 1, 2)]
    assert numbers([first, second], items) == {(0, 2): 3, (1, 1): 2}


def test_an_experience_about_a_group_of_another_batch_is_none_of_ours() -> None:
    ours, other = group(RIGHT, WRONG_AT_2), group(RIGHT, WRONG_AT_2)
    assert numbers([ours], [located(other, 1, 2)]) == {}


def test_a_candidate_that_states_nothing_locates_nothing() -> None:
    both = group(RIGHT, WRONG_AT_2)
    item = located(both, 1, 2)
    silent = replace(item, candidate=replace(item.candidate, experience=None, failure="truncated"))
    assert numbers([both], [silent]) == {}


@pytest.mark.parametrize("start", [None, 0, 6])
def test_the_tokens_before_the_error_are_excused(start: int | None) -> None:
    right, wrong = excused(group(RIGHT, WRONG_AT_2), [1.0, -2.0], [None, start])
    assert right == [1.0] * LENGTH
    assert wrong == [0.0] * (start or 0) + [-2.0] * (LENGTH - (start or 0))


def test_cliff_gives_the_right_prefix_the_centered_zero_and_sums_to_zero() -> None:
    # One of two is right: mu = 1/2, sigma = 1/2, A_right = 1, A_wrong = -1; the error is at token 6 of 21.
    # Sum 21 * 1 + 6 * 0 - 15 * 1 = 6, so b = 6 / 42 = 1/7.
    right, wrong = zero_sum(group(RIGHT, WRONG_AT_2), [1.0, -1.0], [None, 6], share=0.0)
    assert right == pytest.approx([6 / 7] * 21)
    assert wrong == pytest.approx([-1 / 7] * 6 + [-8 / 7] * 15)
    assert sum(right) + sum(wrong) == pytest.approx(0.0, abs=1e-12)


def test_cliffs_lambda_gives_the_right_prefix_a_share_of_a_right_rollouts_advantage() -> None:
    # Sum 21 + 6 * 0.5 - 15 = 9, b = 9 / 42 = 3/14.
    right, wrong = zero_sum(group(RIGHT, WRONG_AT_2), [1.0, -1.0], [None, 6], share=0.5)
    assert right[0] == pytest.approx(11 / 14)
    assert (wrong[0], wrong[6]) == (pytest.approx(4 / 14), pytest.approx(-17 / 14))


def test_a_truncated_rollout_has_no_right_prefix_in_cliff() -> None:
    both = group(RIGHT, WRONG_AT_2, WRONG_AT_3)
    right, wrong, cut = both.rollouts
    both = replace(both, rollouts=(right, wrong, replace(cut, is_truncated=True)))
    *_, of_cut = zero_sum(both, [2.0, -1.0, -1.0], [None, 6, 6], share=0.0)
    # Sum 42 - 15 - 21 = 6, b = 6 / 63 = 2/21.
    assert of_cut == pytest.approx([-1 - 2 / 21] * LENGTH)


def test_a_group_without_a_located_error_keeps_its_carriers_advantages_in_cliff() -> None:
    assert zero_sum(group(RIGHT, WRONG_AT_2), [3.0, -1.0], [None, None], share=0.0) == [[3.0] * 21, [-1.0] * 21]


def test_vppo_rewards_the_right_prefix_less_the_mean_of_the_group() -> None:
    # Means 1 and 0.5 * 6 / 21 = 1/7; their mean is 4/7.
    right, wrong = rewarded_prefix(group(RIGHT, WRONG_AT_2), [None, 6], alpha=0.5, shorten="none", never_negative=False)
    assert right == pytest.approx([3 / 7] * 21)
    assert wrong == pytest.approx([0.5 - 4 / 7] * 6 + [-4 / 7] * 15)


def test_vppo_may_spare_the_right_prefix_where_alpha_is_below_the_mean() -> None:
    _, wrong = rewarded_prefix(group(RIGHT, WRONG_AT_2), [None, 6], alpha=0.5, shorten="none", never_negative=True)
    assert wrong == pytest.approx([0.0] * 6 + [-4 / 7] * 15)


def test_vppo_takes_the_prompts_length_or_a_tenth_of_the_rollout_off_a_prefix() -> None:
    both = replace(group(RIGHT, WRONG_AT_2), prompt_ids=(1, 2, 3, 4))
    # 12 - 4 = 8; 12 - int(2.1) = 10; and never less than nothing.
    for shorten, start, prefix in [("prompt", 12, 8), ("share", 12, 10), ("prompt", 3, 0)]:
        _, wrong = rewarded_prefix(both, [None, start], alpha=0.5, shorten=shorten, never_negative=False)
        baseline = (1 + 0.5 * prefix / 21) / 2
        assert wrong == pytest.approx([0.5 - baseline] * prefix + [-baseline] * (21 - prefix))


def test_vppo_treats_a_group_without_a_located_error_as_outcomes_less_their_mean() -> None:
    found = rewarded_prefix(group(RIGHT, WRONG_AT_2), [None, None], alpha=0.5, shorten="none", never_negative=False)
    assert found == [[0.5] * 21, [-0.5] * 21]
