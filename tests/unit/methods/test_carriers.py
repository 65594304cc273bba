"""Advantages of every carrier against numbers worked out by hand, and GRPO's against TRL's own formula."""

from __future__ import annotations

import math

import pytest
import torch

from mel.methods import CARRIERS

MIXED = [1.0, 0.0, 0.0, 0.0]
HALF = [1.0, 1.0, 0.0, 0.0]
RIGHT, WRONG = [1.0] * 4, [0.0] * 4


def advantages(name: str, *groups: list[float]) -> list[list[float]]:
    return CARRIERS[name]().build(None).advantages(groups)


@pytest.mark.parametrize("name", CARRIERS)
def test_every_carrier_has_its_name_in_the_table(name: str) -> None:
    assert CARRIERS[name]().build(None).name == CARRIERS[name].name == name


@pytest.mark.parametrize("name", CARRIERS)
def test_no_groups_have_no_advantages(name: str) -> None:
    assert advantages(name) == []


@pytest.mark.parametrize("name", CARRIERS)
@pytest.mark.parametrize("rewards", [RIGHT, WRONG, [0.3, 0.3], [1.0]])
def test_a_group_of_equal_rewards_teaches_nothing(name: str, rewards: list[float]) -> None:
    assert advantages(name, rewards) == [pytest.approx([0.0] * len(rewards), abs=1e-12)]


@pytest.mark.parametrize("name", CARRIERS)
def test_advantages_have_the_shape_of_the_rewards(name: str) -> None:
    assert [len(g) for g in advantages(name, MIXED, [1.0, 0.0], RIGHT)] == [4, 2, 4]


@pytest.mark.parametrize("name", ["grpo", "dapo", "gspo"])
def test_grpo_divides_by_the_sample_deviation(name: str) -> None:
    # mean 1/4; squares 9/16 + 3/16 = 3/4; over 3: 1/4; root 1/2. 0.75 / 0.5001 and -0.25 / 0.5001
    assert advantages(name, MIXED) == [pytest.approx([1.49970006, *[-0.49990002] * 3])]
    # mean 1/2; squares 4/4 = 1; over 3; root 0.57735. 0.5 / 0.57745
    assert advantages(name, HALF) == [pytest.approx([0.8658754, 0.8658754, -0.8658754, -0.8658754])]


def test_grpo_equals_trls_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    rewards = torch.rand(16, 8, generator=generator, dtype=torch.float64)
    rewards[3] = 0.5
    # GRPOTrainer._generate_and_score_completions with scale_rewards="group".
    theirs = (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)
    torch.testing.assert_close(torch.tensor(advantages("grpo", *rewards.tolist()), dtype=torch.float64), theirs)


def test_dr_grpo_only_centers() -> None:
    assert advantages("dr_grpo", MIXED, HALF) == [[0.75, -0.25, -0.25, -0.25], [0.5, 0.5, -0.5, -0.5]]


def test_rloo_compares_with_the_mean_of_the_others() -> None:
    # 1 - 0/3; 0 - 1/3
    assert advantages("rloo", MIXED) == [pytest.approx([1.0, -1 / 3, -1 / 3, -1 / 3])]
    # 1 - 1/3; 0 - 2/3
    assert advantages("rloo", HALF) == [pytest.approx([2 / 3, 2 / 3, -2 / 3, -2 / 3])]


def test_rloo_is_dr_grpo_times_g_over_g_minus_one() -> None:
    (left,), (right,) = advantages("rloo", [0.2, 0.9, 0.4]), advantages("dr_grpo", [0.2, 0.9, 0.4])
    assert left == pytest.approx([a * 3 / 2 for a in right])


def test_reinforce_pp_whitens_over_the_whole_batch() -> None:
    # Centered: .75 -.25 -.25 -.25 and 0 0 0 0; mean 0; squares .75 over 8; root .306186
    found = advantages("reinforce_pp", MIXED, RIGHT)
    assert found[0] == pytest.approx([2.4494897, *[-0.8164966] * 3])
    assert found[1] == [0.0] * 4
    # Another group in the batch changes the scale of the first: squares .75 + 1 over 8, root .467707
    assert advantages("reinforce_pp", MIXED, HALF)[0] == pytest.approx([1.6035675, *[-0.5345225] * 3])


def test_reinforce_pp_has_mean_zero_and_deviation_one_over_the_batch() -> None:
    flat = [a for g in advantages("reinforce_pp", MIXED, HALF, [1.0, 0.0], RIGHT) for a in g]
    assert math.fsum(flat) == pytest.approx(0.0, abs=1e-12)
    assert math.fsum(a * a for a in flat) / len(flat) == pytest.approx(1.0)


def test_rft_learns_right_rollouts_of_groups_that_also_fail() -> None:
    assert advantages("rft", MIXED, HALF, RIGHT, WRONG) == [[1, 0, 0, 0], [1, 1, 0, 0], [0] * 4, [0] * 4]


def test_surrogates_are_those_the_formulas_belong_to() -> None:
    assert {name: CARRIERS[name]().build(None).surrogate for name in CARRIERS} == {
        "grpo": "grpo",
        "dr_grpo": "dr_grpo",
        "rloo": "grpo",
        "dapo": "dapo",
        "gspo": "gspo",
        "reinforce_pp": "grpo",
        "rft": "grpo",
    }
