"""Credit by contrast, by hand."""

import math
import random

import pytest
from stories import RIGHT, WRONG_AT_1, WRONG_AT_2, WRONG_AT_3, group

from mel.stages.contrast import evidence, peers_of, shifted, weighted, with_mean

LN2 = math.log(2)


def test_a_rollout_is_never_its_own_peer() -> None:
    both = group(RIGHT, WRONG_AT_1, RIGHT, WRONG_AT_2, WRONG_AT_3)
    for seed in range(20):
        of_right = peers_of(both, 0, most_wrong=2, rng=random.Random(seed))
        of_wrong = peers_of(both, 1, most_wrong=4, rng=random.Random(seed))
        assert of_right is not None
        assert of_wrong is not None
        assert (of_right.right, len({*of_right.wrong} & {1, 3, 4})) == (2, 2)
        assert (of_wrong.right in (0, 2), sorted(of_wrong.wrong)) == (True, [3, 4])


def test_without_a_right_or_a_wrong_peer_there_is_no_contrast() -> None:
    pair = group(RIGHT, WRONG_AT_1)
    assert [peers_of(pair, i, most_wrong=1, rng=random.Random(0)) for i in (0, 1)] == [None, None]
    assert peers_of(group(RIGHT, RIGHT), 0, most_wrong=1, rng=random.Random(0)) is None


def test_evidence_is_against_the_mean_probability_after_the_wrong_peers() -> None:
    # 1/2 against (1/4 + 3/4) / 2 = 1/2; 1/2 against (1/4 + 1/4) / 2 = 1/4.
    wrong = [[math.log(1 / 4), math.log(1 / 4)], [math.log(3 / 4), math.log(1 / 4)]]
    assert evidence([-LN2, -LN2], wrong) == pytest.approx([0.0, LN2])


def test_evidence_of_tokens_that_no_peer_expects_stays_finite() -> None:
    assert evidence([-2000.0], [[-3000.0], [-3000.0]]) == pytest.approx([1000.0])


def test_cepo_weighs_a_token_by_its_evidence_within_the_clip() -> None:
    # exp(ln 1.1) = 1.1 is kept, exp(1) is clipped to 1.2, exp(-1) to 0.8; half of each is mixed with 1.
    found = weighted(2.0, [math.log(1.1), 1.0, -1.0, 0.0], mixing=0.5, clip=0.2)
    assert found == pytest.approx([2.1, 2.2, 1.8, 2.0])


def test_cepo_punishes_a_wrong_rollout_least_where_the_right_peer_agrees() -> None:
    found = weighted(-2.0, [1.0, -1.0, 1000.0, -1000.0], mixing=1.0, clip=0.2)
    assert found == pytest.approx([-1.6, -2.4, -1.6, -2.4])


def test_rlcsd_shifts_an_advantage_but_never_past_zero() -> None:
    # tanh(ln 2) = (4 - 1) / (4 + 1) = 0.6; tanh of a large value is 1; a shift of 0.005 is below the threshold.
    found = shifted(0.4, [LN2, -LN2, -100.0, 0.01], strength=0.5, tau=1.0, threshold=0.02)
    assert found == pytest.approx([0.7, 0.1, 0.0, 0.4])
    assert shifted(-0.4, [LN2, 100.0], strength=0.5, tau=1.0, threshold=0.02) == pytest.approx([-0.1, 0.0])
    assert shifted(0.0, [1.0], strength=0.5, tau=1.0, threshold=0.02) == [0.0]


def test_scaling_keeps_the_mean_of_a_rollout() -> None:
    assert with_mean([1.0, 3.0], 1.0) == [0.5, 1.5]
    assert with_mean([0.0, 0.0], -1.0) == [-1.0, -1.0]
    assert with_mean([], 1.0) == []


RIGHT_PEER = [-0.5, -1.2, -0.03, -2.0]
WRONG_PEERS = [[-0.6, -1.19, -0.05, -0.9], [-0.45, -1.25, -0.01, -3.0]]


def test_cepo_weighs_tokens_as_its_released_code_does() -> None:
    # Computed by `apply_cepo_weighting` of verl/trainer/core_algos.py, ahmedheakl/CEPO at 7a9655d, with the first wrong
    # peer, lam 0.5 and eps_w 0.2.
    found = evidence(RIGHT_PEER, WRONG_PEERS[:1])
    up, down = (weighted(advantage, found, mixing=0.5, clip=0.2) for advantage in (0.8, -0.3))
    assert up == pytest.approx([0.8420684, 0.7960199, 0.8080805, 0.72], abs=1e-6)
    assert down == pytest.approx([-0.2857256, -0.3015075, -0.2970298, -0.33], abs=1e-6)


def test_rlcsd_shifts_advantages_as_its_released_code_does() -> None:
    # Gradients of `compute_policy_loss_rlcsd` of verl/trainer/ppo/core_algos.py, THU-BPM/RLCSD at 7eeff3c, at ratio 1,
    # times the tokens that each was averaged over; rlcsd_beta 1, lam 0.5, tau 0.02 and delta 0.02.
    found = evidence(RIGHT_PEER, WRONG_PEERS)
    up, down = (shifted(advantage, found, strength=0.5, tau=0.02, threshold=0.02) for advantage in (0.8, -0.3))
    assert up == pytest.approx([1.201944, 1.1759916, 0.8, 0.3], abs=1e-6)
    assert down == pytest.approx([0.0, 0.0, -0.3, -0.8], abs=1e-6)
