"""Distillation: by hand, and value and gradient against a dense float64 reference."""

import math

import pytest
import torch

from mel.objective import distill
from mel.objective.distill import distill_loss, divergence_R

DIVERGENCES = ["forward_kl", "reverse_kl", "jsd"]


def one_position(student, teacher):
    """Logits (1, 1, V) of given probabilities; any constant may be added to logits."""
    return torch.tensor([[student]]).log() + 3.0, torch.tensor([[teacher]]).log() - 2.0


@pytest.mark.parametrize(
    ("divergence", "expected"),
    [
        ("forward_kl", 0.25 * math.log(0.5) + 0.75 * math.log(1.5)),
        ("reverse_kl", 0.5 * math.log(2) + 0.5 * math.log(2 / 3)),
        (
            "jsd",  # against the mean (3/8, 5/8)
            (0.25 * math.log(2 / 3) + 0.75 * math.log(6 / 5) + 0.5 * math.log(4 / 3) + 0.5 * math.log(4 / 5)) / 2,
        ),
    ],
)
def test_the_divergence_of_two_coins(divergence, expected):
    student, teacher = one_position([0.5, 0.5], [0.25, 0.75])
    loss = distill_loss(
        student, teacher, torch.tensor([[True]]), torch.tensor([2.0]), divergence=divergence, top_k=None
    )
    assert loss.item() == pytest.approx(2 * expected, rel=1e-5)


def test_all_but_the_teachers_likeliest_tokens_are_one_class():
    student, teacher = one_position([0.25, 0.25, 0.25, 0.25], [0.125, 0.5, 0.25, 0.125])
    found = divergence_R(student, teacher, torch.tensor([[True]]), divergence="forward_kl", top_k=1)
    # The classes: token 1 with 1/2 against 1/4, and the rest with 1/2 against 3/4.
    assert found.item() == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3), rel=1e-5)


def classes(logits, teacher, top_k):
    probabilities = logits.softmax(-1)
    if top_k is None:
        return probabilities
    chosen = teacher.topk(top_k).indices
    kept = probabilities.gather(-1, chosen)
    return torch.cat([kept, 1 - kept.sum(-1, keepdim=True)], -1)


def dense(student, teacher, target, scale, *, divergence, top_k):
    """From the definition, in float64, over plain probabilities."""
    p, q = classes(student, teacher, top_k), classes(teacher, teacher, top_k)

    def kl(a, b):
        return (a * (a / b).log()).sum(-1)

    if divergence == "forward_kl":
        per_token = kl(q, p)
    elif divergence == "reverse_kl":
        per_token = kl(p, q)
    else:
        per_token = 0.5 * kl(q, (p + q) / 2) + 0.5 * kl(p, (p + q) / 2)
    return ((per_token * target).sum(1) * scale).sum()


def logits(seed, *shape):
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("positions", [256, 2])
@pytest.mark.parametrize("top_k", [None, 1, 4, 10, 11, 50])
@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_value_and_gradient_are_those_of_the_dense_reference(monkeypatch, divergence, top_k, positions):
    monkeypatch.setattr(distill, "POSITIONS", positions)
    student, teacher = logits(0, 3, 5, 11).requires_grad_(), logits(1, 3, 5, 11).requires_grad_()
    target = torch.tensor([[True] * 5, [True, True, False, False, False], [True, False, True, True, False]])
    scale = torch.tensor([0.3, 0.5, 0.2])
    exact = student.detach().double().requires_grad_()
    expected = dense(
        exact,
        teacher.detach().double(),
        target,
        scale.double(),
        divergence=divergence,
        top_k=top_k if top_k is not None and top_k < 11 else None,
    )
    (gradient,) = torch.autograd.grad(expected, exact)
    loss = distill_loss(student, teacher, target, scale, divergence=divergence, top_k=top_k)
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert student.grad is not None
    assert ((student.grad.double() - gradient).norm() / gradient.norm()).item() < 1e-5
    assert teacher.grad is None


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_in_float64_the_reference_is_met_to_float64(divergence):
    student, teacher = logits(2, 1, 4, 9).double(), logits(3, 1, 4, 9).double()
    target, scale = torch.ones(1, 4, dtype=torch.bool), torch.ones(1)
    settings = {"divergence": divergence, "top_k": 3}
    expected = dense(student, teacher, target, scale.double(), **settings).item()
    assert divergence_R(student, teacher, target, **settings).sum().item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("top_k", [None, 3])
@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_a_student_that_equals_its_teacher_is_at_zero_with_no_gradient(divergence, top_k):
    student = logits(4, 2, 3, 8).requires_grad_()
    target = torch.ones(2, 3, dtype=torch.bool)
    loss = distill_loss(student, student.detach() + 5.0, target, torch.ones(2), divergence=divergence, top_k=top_k)
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-5)
    assert student.grad is not None
    assert student.grad.abs().max().item() < 1e-6


def test_a_tail_too_small_for_one_minus_the_rest_still_counts():
    # The others have 1e-12 in all: 1 - sum of float32 probabilities would say 0, and its logarithm -inf.
    teacher = torch.tensor([[[0.0, -1.0, math.log(1e-12), math.log(1e-12)]]])
    student = torch.tensor([[[0.0, -1.0, 0.0, 0.0]]], requires_grad=True)
    found = divergence_R(student, teacher, torch.tensor([[True]]), divergence="reverse_kl", top_k=2)
    expected = dense(
        student.detach().double(),
        teacher.double(),
        torch.tensor([[True]]),
        torch.ones(1, dtype=torch.float64),
        divergence="reverse_kl",
        top_k=None,
    ).item()
    found.sum().backward()
    assert found.item() == pytest.approx(expected, rel=1e-5)
    assert student.grad is not None
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("top_k", [None, 2])
@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_a_token_that_neither_can_say_changes_nothing(divergence, top_k):
    student, teacher = logits(5, 1, 2, 4), logits(6, 1, 2, 4)
    barred = torch.full((1, 2, 1), -math.inf)
    target = torch.ones(1, 2, dtype=torch.bool)
    settings = {"divergence": divergence, "top_k": top_k}
    longer = torch.cat([student, barred], -1).requires_grad_()
    found = divergence_R(longer, torch.cat([teacher, barred], -1), target, **settings)
    found.sum().backward()
    assert found.item() == pytest.approx(divergence_R(student, teacher, target, **settings).item(), rel=1e-6)
    assert longer.grad is not None
    assert longer.grad.isfinite().all()
    assert longer.grad[..., -1].abs().max().item() == 0.0


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_positions_outside_the_mask_have_exactly_zero_gradient_even_if_infinite(divergence):
    student, teacher = logits(7, 1, 3, 4), logits(8, 1, 3, 4)
    student[0, 1:], teacher[0, 1:] = math.inf, math.nan
    student.requires_grad_()
    mask = torch.tensor([[True, False, False]])
    loss = distill_loss(student, teacher, mask, torch.ones(1), divergence=divergence, top_k=2)
    loss.backward()
    assert math.isfinite(loss.item())
    assert student.grad is not None
    assert student.grad[0, 0].abs().max().item() > 0
    assert student.grad[0, 1:].abs().max().item() == 0.0


def test_half_precision_logits_are_compared_in_single_precision():
    student, teacher = logits(9, 1, 2, 6).bfloat16().requires_grad_(), logits(10, 1, 2, 6).bfloat16()
    settings = {"divergence": "forward_kl", "top_k": 2}
    target = torch.ones(1, 2, dtype=torch.bool)
    found = divergence_R(student, teacher, target, **settings)
    assert found.dtype == torch.float32
    assert found.item() == divergence_R(student.float(), teacher.float(), target, **settings).item()
    found.sum().backward()
    assert student.grad is not None
    assert student.grad.dtype == torch.bfloat16


def test_nothing_of_the_size_of_the_logits_is_kept_for_the_backward_pass_but_the_logits():
    student, teacher = logits(11, 2, 64, 100).requires_grad_(), logits(12, 2, 64, 100)
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = distill_loss(
            student, teacher, torch.ones(2, 64, dtype=torch.bool), torch.ones(2), divergence="jsd", top_k=None
        )
    given = {tensor.untyped_storage().data_ptr() for tensor in (student, teacher)}
    assert sum(size for pointer, size in kept.items() if pointer not in given) < 2048
    loss.backward()


def test_no_likeliest_token_at_all_is_refused():
    with pytest.raises(ValueError, match="expected at least 1 token"):
        divergence_R(logits(0, 1, 1, 3), logits(1, 1, 1, 3), torch.tensor([[True]]), divergence="forward_kl", top_k=0)
