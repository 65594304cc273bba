import math

import pytest
import torch

from mel.objective.logprobs import token_logprobs
from mel.objective.losses import mean_nll_R, micro_step_factor, row_loss
from mel.objective.rows import Totals, pad_rows
from mel.types import Row


def test_the_row_loss_is_the_scaled_sum_of_target_tokens():
    logp = torch.tensor([[-1.0, -2.0], [-4.0, -8.0]])
    target = torch.tensor([[True, True], [True, False]])
    # 0.5 * (1 + 2) + 0.25 * 4
    assert row_loss(logp, target, torch.tensor([0.5, 0.25])).item() == pytest.approx(2.5)


def test_masked_positions_have_exactly_zero_gradient_even_if_infinite():
    logp = torch.tensor([[-1.0, -math.inf]], requires_grad=True)
    loss = row_loss(logp, torch.tensor([[True, False]]), torch.tensor([1.0]))
    loss.backward()
    assert loss.item() == 1.0
    assert logp.grad is not None
    assert logp.grad.tolist() == [[-1.0, 0.0]]


def test_a_dummy_row_has_exactly_zero_gradient_and_no_nan():
    weights = torch.randn(5, 5, requires_grad=True)
    batch = pad_rows([], Totals.of([]), pad_id=3, count=2, reduction="row")
    logits = weights[batch.ids_RL[:, :-1]]
    row_loss(token_logprobs(logits, batch.ids_RL[:, 1:]), batch.target_RT, batch.scale_R).backward()
    assert weights.grad is not None
    assert weights.grad.abs().max().item() == 0.0


def test_the_factor_makes_averaged_and_accumulated_micro_losses_a_mean():
    # 2 ranks, 4 slots, 2 micro-steps per optimizer step: half of the slots stand for the whole.
    assert micro_step_factor(num_ranks=2, num_slots=4, accumulation=2) == 4.0
    assert micro_step_factor(num_ranks=1, num_slots=1, accumulation=1) == 1.0


def test_the_mean_nll_ignores_padding_and_is_zero_for_a_dummy():
    logp = torch.tensor([[-1.0, -3.0], [-5.0, -7.0], [-1.0, -1.0]])
    target = torch.tensor([[True, True], [True, False], [False, False]])
    assert mean_nll_R(logp, target).tolist() == [2.0, 5.0, 0.0]


def test_token_logprobs_are_those_of_the_dense_softmax():
    logits = torch.randn(2, 3, 5)
    ids = torch.tensor([[0, 4, 2], [1, 1, 3]])
    expected = logits.double().log_softmax(-1).gather(-1, ids[..., None]).squeeze(-1)
    assert torch.allclose(token_logprobs(logits, ids).double(), expected, atol=1e-6)


def test_a_policy_row_has_the_gradient_of_an_nll_row_of_the_same_weight():
    gradients = []
    for term in ("nll", "policy"):
        rows = [Row(context_ids=(1,), target_ids=(2, 3), weight=0.3, term=term)]
        batch = pad_rows(rows, Totals.of(rows), pad_id=0, count=1, reduction="row")
        logp = torch.tensor([[-1.0, -2.0]], requires_grad=True)
        row_loss(logp, batch.target_RT, batch.scale_R).backward()
        gradients.append(logp.grad)
    assert torch.equal(gradients[0], gradients[1])
