"""What steps are worth, worked out by hand."""

import math

import pytest

from mel.stages.process_reward import combined, step_advantages


def test_the_worst_step_carries_nearly_the_whole_return() -> None:
    # Temperature 0.5: weights e^0, e^-2, e^-4 over their sum.
    rewards = [-1.0, 0.0, 1.0]
    total = 1 + math.exp(-2) + math.exp(-4)
    assert combined(rewards, combine="min", temperature=0.5) == pytest.approx(
        [-1 / total, 0.0, math.exp(-4) / total], abs=1e-12
    )
    assert sum(combined(rewards, combine="min", temperature=0.01)) == pytest.approx(-1.0, abs=1e-12)


def test_equal_steps_share_their_value() -> None:
    assert combined([0.5, 0.5], combine="min", temperature=0.1) == [0.25, 0.25]


def test_a_sum_keeps_every_reward_and_no_steps_earn_nothing() -> None:
    assert combined([-1.0, 1.0], combine="sum", temperature=0.1) == [-1.0, 1.0]
    assert combined([], combine="min", temperature=0.1) == []


def test_a_token_gets_what_its_step_and_later_ones_earn_above_the_others_mean() -> None:
    # a: 0.6 and -0.2 on 2 + 2 tokens; b: 0.3 on 3 tokens; c: -0.4 on 1 token.
    # Per token of the others: for a (0.3 - 0.4) / 4 = -0.025; for b (0.4 - 0.4) / 5 = 0; for c (0.4 + 0.3) / 7 = 0.1.
    # a: last step -0.2 + 0.05 = -0.15; first -0.15 + 0.6 + 0.05 = 0.5.
    found = step_advantages([[0.6, -0.2], [0.3], [-0.4]], [(range(2), range(2, 4)), (range(3),), (range(1),)])
    assert found == [pytest.approx([0.5, 0.5, -0.15, -0.15]), pytest.approx([0.3] * 3), pytest.approx([-0.5])]


def test_a_step_without_tokens_counts_for_the_tokens_before_it() -> None:
    # Baseline of a: 0 / 1 = 0; its second step has no token, and its reward reaches back to the first.
    found = step_advantages([[0.0, 1.0], [0.0]], [(range(2), range(2, 2)), (range(1),)])
    assert found[0] == [1.0, 1.0]
    assert found[1] == [-0.5]


def test_a_rollout_alone_has_no_baseline() -> None:
    assert step_advantages([[1.0]], [(range(2),)]) == [[0.0, 0.0]]
    assert step_advantages([], []) == []
