"""MASPO's soft weight: by hand, against the authors' formula, and without effect where nothing moved."""

import math
from functools import partial

import pytest
import torch

from mel.objective.surrogates import clipped, mass_adaptive

REGION = {"epsilon_low": 0.2, "epsilon_high": 0.2, "level": "token"}


def tokens(*values):
    return torch.tensor([values], dtype=torch.float64)


def test_a_token_is_damped_only_where_it_moved_the_way_its_advantage_wants():
    # Probability 1 when sampled and beta 0: the width is sigma = 1. Ratios 1.5, 0.5, 1.5, 0.5.
    ratios = tokens(1.5, 0.5, 1.5, 0.5)
    logp = ratios.log().requires_grad_()
    advantages = tokens(2.0, -2.0, -2.0, 2.0)
    mask = torch.ones(1, 4, dtype=torch.bool)
    loss, stopped = mass_adaptive(
        logp, torch.zeros_like(ratios), advantages, mask, beta_positive=0.0, beta_negative=0.0, **REGION
    )
    w = math.exp(-0.125)  # exp(-(0.5)^2 / 2)
    assert loss[0].tolist() == pytest.approx([-w * 3.0, w * 1.0, 3.0, -1.0])
    assert not stopped.any()
    # The weight carries no gradient: d loss / d logp is the loss itself.
    loss.sum().backward()
    assert logp.grad[0].tolist() == pytest.approx([-w * 3.0, w * 1.0, 3.0, -1.0])


def test_the_width_grows_for_improbable_tokens_and_depends_on_the_advantage():
    # p_old = 1/16, alpha 0.5: 1 / (1/4) = 4, bounded by 3; times 1 + 0.5 * 2 = 2 above 0, times 1 / (1 + 1) below.
    old = tokens(math.log(1 / 16), math.log(1 / 16), math.log(1 / 16))
    logp = old + tokens(math.log(3.0), math.log(0.5), math.log(1e-9))
    advantages = tokens(2.0, -2.0, 0.0)
    mask = torch.tensor([[True, True, True]])
    loss, _ = mass_adaptive(
        logp, old, advantages, mask, alpha=0.5, most_sigma=3.0, beta_positive=0.5, beta_negative=0.5, **REGION
    )
    wide, narrow = 3.0 * 2.0, 3.0 * 0.5
    expected = [-2.0 * 3.0 * math.exp(-(2.0**2) / 2 / wide**2), 2.0 * 0.5 * math.exp(-(0.5**2) / 2 / narrow**2), 0.0]
    assert loss[0].tolist() == pytest.approx(expected)


def theirs(logp, old, a, *, sigma=1.0, alpha=0.3, beta=0.03):
    """MASPO-RL, `ratio_mode="maspo"`, written down from its formulas token by token."""
    ratio = math.exp(min(max(logp - old, -20.0), 20.0))
    mass = min(max(sigma / math.exp(old) ** alpha, sigma), 10.0)
    if a > 0 and ratio > 1:
        width = mass * min(max(1 + beta * a, 0.1), 10.0)
    elif a < 0 and ratio < 1:
        width = mass * min(max(1 / (1 - beta * a), 0.1), 10.0)
    else:
        return -a * ratio
    return -a * ratio * math.exp(-((ratio - 1) ** 2) / 2 / width**2)


def test_it_agrees_with_the_authors_formula_on_random_tokens():
    generator = torch.Generator().manual_seed(0)
    old, moved, a = (torch.randn(4, 9, generator=generator, dtype=torch.float64) for _ in range(3))
    old, a = -3 * old.abs(), 5 * a
    found, _ = mass_adaptive(old + moved, old, a, torch.ones(4, 9, dtype=torch.bool), **REGION)
    each = torch.stack([old + moved, old, a], dim=-1).reshape(-1, 3).tolist()
    expected = [theirs(*token) for token in each]
    assert found.flatten().tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("surrogate", [mass_adaptive, partial(mass_adaptive, sigma=0.1, alpha=0.0)])
def test_where_no_ratio_has_moved_value_and_gradient_are_those_of_the_clipped_surrogate(surrogate):
    generator = torch.Generator().manual_seed(1)
    mask = torch.rand(3, 7, generator=generator) > 0.3
    advantages = torch.randn(3, 7, generator=generator)
    found = []
    for function in (clipped, surrogate):
        logp = (-torch.rand(3, 7, generator=torch.Generator().manual_seed(2))).requires_grad_()
        loss, _ = function(logp, logp.detach(), advantages, mask, **REGION)
        loss.sum().backward()
        found.append((loss.detach(), logp.grad))
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-7)


def test_what_was_not_sampled_has_exactly_zero_gradient_whatever_stands_there():
    logp = torch.tensor([[-1.0, -math.inf, math.nan]], requires_grad=True)
    old = torch.tensor([[-2.0, 0.0, -math.inf]])
    loss, _ = mass_adaptive(
        logp, old, torch.tensor([[1.0, 9.0, math.nan]]), torch.tensor([[True, False, False]]), **REGION
    )
    loss.sum().backward()
    assert loss[0, 1:].tolist() == [0.0, 0.0]
    assert logp.grad is not None
    assert logp.grad[0, 1:].tolist() == [0.0, 0.0]
    assert torch.isfinite(logp.grad).all()
