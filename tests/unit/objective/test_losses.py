import math

import pytest
import torch

from mel.objective.distill import distill_loss
from mel.objective.losses import mean_nll_R, micro_step_factor, policy_loss, row_loss
from mel.objective.rows import pad_rows
from mel.objective.score import token_logprobs
from mel.types import Reference, Row

CLIP = {"epsilon_low": 0.2, "epsilon_high": 0.2, "level": "token"}


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


def loss_of(batch, weights):
    """A batch's loss under a model that looks at nothing but the token before."""

    def logits(ids):
        return weights[ids[:, -batch.num_targets - 1 : -1]]

    logp = token_logprobs(logits(batch.ids_RL), batch.ids_RL[:, -batch.num_targets :])
    if batch.term == "nll":
        return row_loss(logp, batch.target_RT, batch.scale_R)
    if batch.term == "policy":
        return policy_loss(logp, batch.old_logp_RT, batch.advantages_RT, batch.sampled_RT, batch.scale_R, **CLIP)[0]
    return distill_loss(
        logits(batch.ids_RL),
        logits(batch.reference_ids_RM),
        batch.target_RT,
        batch.scale_R,
        divergence=batch.divergence,
        top_k=batch.top_k,
    )


def some_rows(term):
    lengths = [(3, 1), (1, 4), (2, 2), (4, 3), (1, 1)]
    return [
        Row(
            context_ids=tuple(range(1, 1 + context)),
            target_ids=tuple((3 * i + k) % 7 for k in range(targets)),
            term=term,
            advantages=tuple(1.0 - k for k in range(targets)),
            is_sampled=tuple(k != 1 for k in range(targets)),
            # The token before the first target differs, so teacher and student do.
            reference=Reference(context_ids=tuple(range(6, 6 - context, -1)), divergence="jsd", top_k=3),
        )
        for i, (context, targets) in enumerate(lengths)
    ]


@pytest.mark.parametrize("term", ["nll", "policy", "distill"])
def test_the_chunks_of_a_batch_add_up_to_the_whole(term):
    weights = torch.randn(7, 7, generator=torch.Generator().manual_seed(0)).requires_grad_()
    whole = pad_rows(some_rows(term), [0.1, 0.2, 0.3, 0.4, 0.5], pad_id=0, count=6)
    loss = loss_of(whole, weights)
    (gradient,) = torch.autograd.grad(loss, weights)
    losses = [loss_of(chunk, weights) for chunk in whole.chunks(2)]
    assert len(losses) == 3
    total = torch.stack(losses).sum()
    assert gradient.abs().max().item() > 0.01
    assert total.item() == pytest.approx(loss.item(), rel=1e-5)
    assert torch.allclose(torch.autograd.grad(total, weights)[0], gradient, atol=1e-6)


@pytest.mark.parametrize("term", ["nll", "policy", "distill"])
def test_a_dummy_row_has_exactly_zero_gradient_and_no_nan(term):
    weights = torch.randn(5, 5, requires_grad=True)
    loss = loss_of(pad_rows([], [], pad_id=3, count=2, term=term), weights)
    loss.backward()
    assert loss.item() == 0.0
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


def test_an_on_policy_row_of_advantage_one_has_the_gradient_of_an_nll_row():
    logp = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    target, scale = torch.tensor([[True, True]]), torch.tensor([0.15])
    (of_nll,) = torch.autograd.grad(row_loss(logp, target, scale), logp)
    loss, share = policy_loss(logp, None, torch.ones(1, 2), target, scale, **CLIP)
    assert torch.equal(torch.autograd.grad(loss, logp)[0], of_nll)
    assert share.item() == 0.0
