"""Implicit process rewards and the loss that teaches them, by hand."""

import math

import pytest
import torch

from mel.objective.implicit_reward import implicit_rewards, outcome_loss

MASK = torch.tensor([[True, True], [True, False]])


def test_a_token_is_worth_beta_times_its_log_ratio() -> None:
    logp = torch.tensor([[-1.0, -2.0], [-3.0, -9.0]])
    initial = torch.tensor([[-2.0, -1.5], [-3.5, 0.0]])
    assert implicit_rewards(logp, initial, MASK, beta=0.5).tolist() == [[0.5, -0.25], [0.25, 0.0]]


def test_the_loss_is_the_cross_entropy_of_the_summed_rewards_and_teaches_right_and_wrong_alike() -> None:
    # Sums ln 3 and 0: sigmoid 3/4 and 1/2. Right and wrong: -ln(3/4) - ln(1/2). Gradients 3/4 - 1 and 1/2 - 0.
    reward = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]], requires_grad=True)
    loss = outcome_loss(reward, torch.tensor([1.0, 0.0]))
    assert loss.item() == pytest.approx(math.log(4 / 3) + math.log(2))
    loss.backward()
    assert reward.grad is not None
    assert reward.grad.tolist() == [pytest.approx([-0.25] * 2), pytest.approx([0.5] * 2)]


def test_no_rows_have_no_loss() -> None:
    assert outcome_loss(torch.zeros(0, 2), torch.zeros(0)).item() == 0.0
