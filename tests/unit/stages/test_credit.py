"""Which tokens of a wrong rollout are excused."""

from dataclasses import replace

import pytest
from stories import RIGHT, TASK, WRONG_AT_2, WRONG_AT_3, bytes_bpe, candidate, group, replayed, words

from mel.stages.credit import weights_from_bifurcation
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


def test_no_groups_have_no_weights() -> None:
    assert weights_from_bifurcation([], [], words()) == []


def test_without_a_kept_experience_every_token_counts() -> None:
    both = group(RIGHT, WRONG_AT_2)
    item = located(both, 1, 2, is_kept=False)
    assert weights_from_bifurcation([both], [item], words()) == [[[1.0] * LENGTH, [1.0] * LENGTH]]


@pytest.mark.parametrize(("step", "excused"), [(1, 0), (2, 6), (3, 12)])
def test_the_steps_before_the_bifurcation_are_excused(step: int, excused: int) -> None:
    both = group(RIGHT, WRONG_AT_2)
    ((right, wrong),) = weights_from_bifurcation([both], [located(both, 1, step)], words())
    assert right == [1.0] * LENGTH
    assert wrong == [0.0] * excused + [1.0] * (LENGTH - excused)


def test_of_two_located_steps_of_one_rollout_the_earlier_decides() -> None:
    both = group(RIGHT, WRONG_AT_3)
    items = [located(both, 1, 3), located(both, 1, 2)]
    for order in (items, items[::-1]):
        assert sum(weights_from_bifurcation([both], order, words())[0][1]) == LENGTH - 6


def test_each_group_and_rollout_has_its_own_excuse() -> None:
    first, second = group(RIGHT, WRONG_AT_2, WRONG_AT_3), group(RIGHT, WRONG_AT_2)
    weights = weights_from_bifurcation([first, second], [located(first, 2, 3), located(second, 1, 2)], words())
    assert [[w.count(0.0) for w in of] for of in weights] == [[0, 0, 12], [0, 6]]


def test_an_experience_about_a_group_of_another_batch_is_none_of_ours() -> None:
    ours, other = group(RIGHT, WRONG_AT_2), group(RIGHT, WRONG_AT_2)
    assert weights_from_bifurcation([ours], [located(other, 1, 2)], words()) == [[[1.0] * LENGTH] * 2]


def test_a_candidate_that_states_nothing_excuses_nothing() -> None:
    both = group(RIGHT, WRONG_AT_2)
    item = located(both, 1, 2)
    silent = replace(item, candidate=replace(item.candidate, experience=None, failure="truncated"))
    assert weights_from_bifurcation([both], [silent], words()) == [[[1.0] * LENGTH] * 2]


def test_byte_level_tokens_are_excused_up_to_the_space_before_the_step() -> None:
    tokenizer = bytes_bpe()
    both = group(RIGHT, WRONG_AT_2, tokenizer=tokenizer)
    wrong = weights_from_bifurcation([both], [located(both, 1, 2)], tokenizer)[0][1]
    excused = len(tokenizer.encode("1) finds plus 3 = 53"))
    assert wrong == [0.0] * excused + [1.0] * (len(both.rollouts[1].token_ids) - excused)
