"""Advantages of every carrier against numbers worked out by hand, and GRPO's against TRL's own formula."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from trl.rewards.other_rewards import get_soft_overlong_punishment

from mel.methods import CARRIERS, carrier_settings
from mel.methods.carriers.dapo import Overlong
from mel.types import Group, Problem, Rollout, Verdict

MIXED = [1.0, 0.0, 0.0, 0.0]
HALF = [1.0, 1.0, 0.0, 0.0]
RIGHT, WRONG = [1.0] * 4, [0.0] * 4


def group(rewards: Sequence[float], lengths: Sequence[int] = (), texts: Sequence[str] = ()) -> Group:
    """Rollouts with these rewards; of one token each and with texts of their own unless said otherwise."""
    lengths, texts = lengths or [1] * len(rewards), texts or [f"text {i}" for i in range(len(rewards))]
    verdict = Verdict(is_correct=False, reason="wrong")
    rollouts = tuple(
        Rollout(token_ids=(7,) * n, text=text, verdict=verdict, reward=r)
        for r, n, text in zip(rewards, lengths, texts, strict=True)
    )
    return Group(problem=Problem(id="p", text="", answer=""), prompt_ids=(1,), rollouts=rollouts)


def advantages(name: str, *rewards: list[float], **settings: object) -> list[list[float]]:
    return carrier_settings(name, settings).build(None).advantages([group(r) for r in rewards])


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


@pytest.mark.parametrize("name", ["grpo", "dapo", "gspo", "maspo"])
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


def test_rft_learns_each_text_of_a_problem_once_and_so_many_at_most() -> None:
    found = group([1.0, 1.0, 0.0, 1.0, 1.0], texts=["a b", "a  b\n", "c", "c", "d"])
    for settings, expected in (
        ({}, [1, 0, 0, 1, 1]),
        ({"most_per_problem": 2}, [1, 0, 0, 1, 0]),
        ({"distinct": False, "most_per_problem": 3}, [1, 1, 0, 1, 0]),
    ):
        assert carrier_settings("rft", settings).build(None).advantages([found]) == [expected]


def test_reinforce_pp_as_published_whitens_rewards_over_the_tokens_of_the_batch() -> None:
    groups = [group([1.0, 0.0], lengths=[1, 3]), group([1.0, 1.0], lengths=[2, 2])]
    # Eight tokens, five of them with return 1: mean 5/8; squares 5 * 9/64 + 3 * 25/64 = 15/8; over 7; root .517549
    up, down = 0.375 / 0.51754917, -0.625 / 0.51754917
    found = carrier_settings("reinforce_pp", {"baseline": "none", "over": "tokens"}).build(None).advantages(groups)
    assert found == [pytest.approx([up, down]), pytest.approx([up, up])]


@pytest.mark.parametrize("baseline", ["none", "group"])
def test_reinforce_pp_over_tokens_equals_verls_formula(baseline: str) -> None:
    generator = torch.Generator().manual_seed(0)
    rewards = torch.randint(0, 2, (6, 4), generator=generator).double()
    lengths = torch.randint(1, 30, (6, 4), generator=generator)
    # compute_reinforce_plus_plus(_baseline)_outcome_advantage with gamma 1, then verl_F.masked_whiten.
    centered = rewards - rewards.mean(1, keepdim=True) if baseline == "group" else rewards
    mask = torch.arange(30) < lengths.reshape(-1, 1)
    returns = centered.reshape(-1, 1).expand(24, 30) * mask
    mean = returns.sum() / mask.sum()
    variance = ((returns - mean).square() * mask).sum() / mask.sum()
    variance = variance * mask.sum() / (mask.sum() - 1)
    theirs = ((returns - mean) * torch.rsqrt(variance + 1e-8))[:, 0].tolist()
    groups = [group(r, lengths=n) for r, n in zip(rewards.tolist(), lengths.tolist(), strict=True)]
    carrier = carrier_settings("reinforce_pp", {"baseline": baseline, "over": "tokens"}).build(None)
    assert [a for of_group in carrier.advantages(groups) for a in of_group] == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("settings", [{}, {"baseline": "none"}, {"baseline": "none", "over": "tokens"}])
def test_a_batch_of_equal_rewards_teaches_reinforce_pp_nothing(settings: dict[str, str]) -> None:
    assert advantages("reinforce_pp", RIGHT, RIGHT, **settings) == [[0.0] * 4] * 2


def test_the_overlong_penalty_grows_over_the_last_tokens_before_the_limit() -> None:
    # Limit 10, cache 4: nothing up to 6 tokens, a quarter at 7, all of it from 10 on.
    penalty = Overlong(limit=10, cache=4, weight=2.0)
    assert [penalty.of(n) for n in (1, 6, 7, 9, 10, 12)] == [0.0, 0.0, -0.5, -1.5, -2.0, -2.0]


def test_the_overlong_penalty_equals_trls() -> None:
    theirs = get_soft_overlong_punishment(max_completion_len=20, soft_punish_cache=7)
    ours = Overlong(limit=20, cache=7, weight=1.0)
    assert [ours.of(n) for n in range(25)] == pytest.approx(theirs([[1] * n for n in range(25)]), abs=1e-12)


def test_dapo_shapes_the_reward_and_leaves_it_as_it_is_without_the_penalty() -> None:
    found = group([1.0, 1.0, 0.0], lengths=[2, 10, 8])
    at = {"overlong_cache": 4, "overlong_limit": 10, "overlong_weight": 1.0}
    # Rewards 1, 1 - 1, 0 - 1/2: mean 1/6, deviation 0.763763
    shaped = carrier_settings("dapo", at).build(None).advantages([found])
    assert shaped == [pytest.approx([5 / 6 / 0.7638626, -1 / 6 / 0.7638626, -4 / 6 / 0.7638626])]
    plain, grpo = (carrier_settings(name).build(None).advantages([found]) for name in ("dapo", "grpo"))
    assert plain == grpo


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"overlong_cache": 4}, "dapo.overlong_limit: expected the limit of the rollouts"),
        ({"overlong_cache": 4, "overlong_limit": 3}, "dapo.overlong_cache: expected at most the limit of 3, got 4"),
        ({"overlong_limit": 10}, "dapo: overlong_limit shapes the penalty, which is off; set overlong_cache too"),
        ({"overlong_weight": 1.0}, "dapo: overlong_weight shapes the penalty, which is off"),
        ({"overlong_cash": 4}, "unknown key 'dapo.overlong_cash'; did you mean 'overlong_cache'"),
    ],
)
def test_a_penalty_that_cannot_be_is_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        carrier_settings("dapo", settings).build(None)


def test_surrogates_are_those_the_formulas_belong_to() -> None:
    assert {name: CARRIERS[name]().build(None).surrogate for name in CARRIERS} == {
        "grpo": "grpo",
        "dr_grpo": "dr_grpo",
        "rloo": "grpo",
        "dapo": "dapo",
        "gspo": "gspo",
        "maspo": "maspo",
        "reinforce_pp": "grpo",
        "rft": "grpo",
    }
