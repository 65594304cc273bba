"""A verdict's score: what a task that rewards parts says of a response, and what a rollout earns by it."""

import pytest

from mel.stages.join import as_rollout
from mel.types import Completion, Verdict


def test_without_a_score_the_reward_is_1_for_right_and_0_for_wrong():
    assert Verdict(is_correct=True, reason="right").reward == 1.0
    assert Verdict(is_correct=False, reason="wrong").reward == 0.0


def test_a_wrong_response_with_a_score_earns_it():
    assert Verdict(is_correct=False, reason="wrong", score=0.75).reward == 0.75


@pytest.mark.parametrize("score", [-0.1, 1.5])
def test_a_score_outside_0_to_1_is_refused(score):
    with pytest.raises(ValueError, match="expected a score from 0 to 1, got"):
        Verdict(is_correct=False, reason="wrong", score=score)


def test_a_right_response_has_no_score_below_1_since_right_means_all():
    with pytest.raises(ValueError, match=r"expected score 1 of a right response, got 0\.5"):
        Verdict(is_correct=True, reason="right", score=0.5)


def test_an_attempt_that_joins_a_group_earns_its_score_as_the_rollouts_do():
    completion = Completion(token_ids=(1, 2), text="ab")
    rollout = as_rollout(completion, Verdict(is_correct=False, reason="wrong", score=0.25), text="ab")
    assert rollout.reward == 0.25
