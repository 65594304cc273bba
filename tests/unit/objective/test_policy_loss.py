"""The surrogate of policy rows: by hand, against a dense float64 reference, and against TRL's own."""

import math
from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch

from mel.objective.losses import policy_loss
from mel.objective.surrogates import SURROGATES, Surrogate

LOW, HIGH = 0.2, 0.3
CLIP = {"epsilon_low": LOW, "epsilon_high": HIGH}


def logs(*ratios):
    return [math.log(ratio) for ratio in ratios]


def test_clipping_stops_the_gradient_where_a_token_moved_too_far_the_way_its_advantage_wants():
    # Ratios 1.5, 0.5, 1.5, 0.5 under advantages 2, -2, -2, 2: the first two are clipped to 1.3 and 0.8.
    logp = torch.tensor([logs(1.5, 0.5, 1.5, 0.5)], requires_grad=True)
    advantages = torch.tensor([[2.0, -2.0, -2.0, 2.0]])
    mask = torch.ones(1, 4, dtype=torch.bool)
    loss, share = policy_loss(logp, torch.zeros(1, 4), advantages, mask, torch.tensor([0.5]), level="token", **CLIP)
    loss.backward()
    # 0.5 * -(1.3 * 2 - 0.8 * 2 - 1.5 * 2 + 0.5 * 2)
    assert loss.item() == pytest.approx(0.5)
    assert logp.grad is not None
    assert logp.grad[0].tolist() == pytest.approx([0.0, 0.0, 0.5 * 1.5 * 2, -0.5 * 0.5 * 2])
    assert share.item() == 0.5


def test_at_sequence_level_every_sampled_token_has_the_geometric_mean_of_the_ratios():
    # The hint in the middle would make the mean another one: sqrt(1.44 * 1) = 1.2 without it.
    logp = torch.tensor([logs(1.44, 9.0, 1.0)], requires_grad=True)
    mask = torch.tensor([[True, False, True]])
    loss, share = policy_loss(
        logp, torch.zeros(1, 3), torch.tensor([[1.0, 5.0, 2.0]]), mask, torch.ones(1), level="sequence", **CLIP
    )
    loss.backward()
    assert loss.item() == pytest.approx(-1.2 * 3)
    assert logp.grad is not None
    assert logp.grad[0].tolist() == pytest.approx([-1.2 * 3 / 2, 0.0, -1.2 * 3 / 2])
    assert share.item() == 0.0


def test_the_share_of_clipped_tokens_counts_sampled_tokens_alone():
    logp = torch.tensor([logs(2.0, 2.0, 1.0, 2.0)])
    mask = torch.tensor([[True, True, True, False]])
    advantages = torch.tensor([[1.0, -1.0, 1.0, 1.0]])
    _, share = policy_loss(logp, torch.zeros(1, 4), advantages, mask, torch.ones(1), level="token", **CLIP)
    assert share.item() == pytest.approx(1 / 3)


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_what_was_not_sampled_has_exactly_zero_gradient_whatever_stands_there(level):
    logp = torch.tensor([[-1.0, -math.inf, math.nan]], requires_grad=True)
    old = torch.tensor([[-1.0, 0.0, -math.inf]])
    mask = torch.tensor([[True, False, False]])
    loss, _ = policy_loss(logp, old, torch.tensor([[1.0, 9.0, 9.0]]), mask, torch.ones(1), level=level, **CLIP)
    loss.backward()
    assert loss.item() == -1.0
    assert logp.grad is not None
    assert logp.grad.tolist() == [[-1.0, 0.0, 0.0]]


def dense(logp, old, advantages, mask, scale, *, level):
    """The clipped surrogate token by token, in float64, from its definition."""
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(logp)):
        at = [t for t in range(logp.size(1)) if mask[i, t]]
        for t in at:
            over = [t] if level == "token" else at
            ratio = torch.exp(sum(logp[i, s] - old[i, s] for s in over) / len(over))
            advantage = advantages[i, t]
            if advantage > 0:
                gain = advantage * (ratio if ratio < 1 + HIGH else 1 + HIGH)
            else:
                gain = advantage * (ratio if ratio > 1 - LOW else 1 - LOW)
            total = total - scale[i] * gain
    return total


def moved(seed=0, rows=6, tokens=9):
    """Log-probabilities far enough from the old ones for both bounds at both levels, with hints and padding."""
    generator = torch.Generator().manual_seed(seed)
    old = -3 * torch.rand(rows, tokens, generator=generator)
    logp = old + 0.3 * torch.randn(rows, tokens, generator=generator) + torch.linspace(-0.4, 0.4, rows)[:, None]
    advantages = torch.randn(rows, tokens, generator=generator)
    mask = torch.rand(rows, tokens, generator=generator) < 0.8
    mask[2, 4:] = False
    advantages[0], advantages[-1] = -advantages[0].abs(), advantages[-1].abs()
    return logp, old, advantages * mask, mask


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_value_and_gradient_are_those_of_the_dense_reference(level):
    logp, old, advantages, mask = moved()
    scale = torch.rand(6, generator=torch.Generator().manual_seed(1))
    ratio = (
        (logp - old).exp()
        if level == "token"
        else ((logp - old) * mask).sum(1, keepdim=True).div(mask.sum(1, keepdim=True)).exp()
    )
    assert ((ratio > 1 + HIGH) & (advantages > 0)).any()
    assert ((ratio < 1 - LOW) & (advantages < 0)).any()
    exact = logp.double().requires_grad_()
    expected = dense(exact, old.double(), advantages.double(), mask, scale.double(), level=level)
    (gradient,) = torch.autograd.grad(expected, exact)
    logp.requires_grad_()
    loss, _ = policy_loss(logp, old, advantages, mask, scale, level=level, **CLIP)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    found = torch.autograd.grad(loss, logp)[0].double()
    assert ((found - gradient).norm() / gradient.norm()).item() < 1e-6


def of_trl(logp, old, advantages, mask, *, loss_type, level):
    """TRL's own loss of these rows, and the clipped share that it logs: its code, given log-probabilities."""
    trainer = pytest.importorskip("trl.trainer.grpo_trainer").GRPOTrainer
    host = SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *args, **kwargs: (logp, torch.zeros_like(logp), None),
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        importance_sampling_level=level,
        beta=0.0,
        loss_type=loss_type,
        epsilon_low=LOW,
        epsilon_high=HIGH,
        args=SimpleNamespace(delta=None, use_bias_correction_kl=False, steps_per_generation=1),
        use_vllm=False,
        model=SimpleNamespace(training=True),
        current_gradient_accumulation_steps=1,
        max_completion_length=16,
        _entropy_bonus_enabled=False,
        accelerator=SimpleNamespace(num_processes=1, gather=lambda x: x, reduce=lambda x, reduction: x),
        _metrics={"train": defaultdict(list)},
    )
    inputs = {
        "prompt_ids": torch.ones(len(logp), 1, dtype=torch.long),
        "prompt_mask": torch.ones(len(logp), 1, dtype=torch.long),
        "completion_ids": torch.ones_like(mask, dtype=torch.long),
        "completion_mask": mask.long(),
        "advantages": advantages,
        "old_per_token_logps": old,
        "num_items_in_batch": mask.sum(),
    }
    return trainer._compute_loss(host, None, inputs), host._metrics["train"]["clip_ratio/region_mean"][0]


@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "dr_grpo"])
def test_value_gradient_and_clipped_share_are_those_of_trl(loss_type, level):
    logp, old, advantages, mask = moved(seed=3)
    logp.requires_grad_()
    expected, share_of_trl = of_trl(logp, old, advantages, mask, loss_type=loss_type, level=level)
    scale = {
        "grpo": 1 / (mask.sum(1) * len(logp)),
        "dapo": torch.full((len(logp),), 1 / int(mask.sum())),
        "dr_grpo": torch.full((len(logp),), 1 / (len(logp) * 16)),
    }[loss_type]
    loss, share = policy_loss(logp, old, advantages, mask, scale, level=level, **CLIP)
    (gradient,) = torch.autograd.grad(expected, logp)
    assert share.item() > 0
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6, abs=1e-6)
    assert ((torch.autograd.grad(loss, logp)[0] - gradient).norm() / gradient.norm()).item() < 1e-6
    assert share.item() == pytest.approx(share_of_trl)


def test_another_surrogate_takes_the_place_of_the_clipped_one():
    def plain(logp_RT, old_logp_RT, advantages_RT, mask_RT, *, epsilon_low, epsilon_high, level):
        return -advantages_RT * logp_RT * mask_RT, torch.zeros_like(mask_RT)

    assert isinstance(SURROGATES["clipped"], Surrogate)
    mask = torch.tensor([[True, False]])
    loss, _ = policy_loss(
        torch.tensor([[-2.0, -5.0]]),
        None,
        torch.ones(1, 2),
        mask,
        torch.ones(1),
        level="token",
        surrogate=plain,
        **CLIP,
    )
    assert loss.item() == 2.0
