"""`distill` rows through the trainer against a dense reference in float64."""

import pytest
import reference
import tiny
import torch

from mel.types import Reference, Row


def rows_of(divergence, top_k):
    """Three rows of different lengths; the teacher of each reads more than the student."""
    return [
        Row(
            context_ids=tuple(5 + (3 * i + k) % 40 for k in range(2 + i)),
            target_ids=tuple(5 + (5 * i + 2 * k) % 40 for k in range(1 + 2 * i)),
            weight=1.0 + 0.5 * i,
            term="distill",
            reference=Reference(
                context_ids=tuple(5 + (11 * i + k) % 40 for k in range(4 + i)), divergence=divergence, top_k=top_k
            ),
        )
        for i in range(3)
    ]


def still(path, **changes):
    settings = {"learning_rate": 0.0, "max_grad_norm": 0.0, "max_steps": 1, "mel_weight": "constant", "mel_lambda": 0.7}
    return tiny.config(path, **settings | changes)


@pytest.mark.parametrize("top_k", [None, 3])
@pytest.mark.parametrize("divergence", ["forward_kl", "reverse_kl", "jsd"])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_distill_rows_have_the_value_and_gradient_of_the_dense_reference(tmp_path, divergence, top_k, accumulation):
    rows = rows_of(divergence, top_k)
    # A batch of its own with one reward for all: what remains of loss and gradient is the rows'. Sampled at another
    # temperature than 1, at which rows are compared.
    args = still(
        tmp_path,
        temperature=0.6,
        mel_backward="joint",
        gradient_accumulation_steps=accumulation,
        per_device_train_batch_size=8 // accumulation,
    )
    recorder = tiny.StepGradients()
    trainer = tiny.mel_trainer(args, tiny.RowsFrom(lambda call: rows), callbacks=[recorder], reward_funcs=tiny.constant)
    trainer.train()
    # Not by backward alone: a teacher with a gradient would have the same value and another gradient.
    model = reference.double(tiny.model())
    loss = 0.7 * reference.distill_loss(model, rows)
    assert loss.item() > 0.01
    assert trainer.state.log_history[0]["loss"] == pytest.approx(loss.item(), rel=1e-5)
    found, expected = tiny.flat(recorder.steps[0]), tiny.flat(reference.gradient_of(loss, model))
    assert ((found - expected).norm() / expected.norm()).item() < 2e-6


@pytest.mark.parametrize("backward", ["joint", "separate"])
def test_distill_and_nll_rows_of_one_auxiliary_have_a_denominator_each(tmp_path, backward):
    nll = tiny.some_rows(0)
    both = [*rows_of("forward_kl", None), *nll]
    args = still(tmp_path, mel_backward=backward, mel_rows_per_backward=2)
    (found,) = tiny.gradients_of(args, tiny.RowsFrom(lambda call: both), reward_funcs=tiny.constant)
    model = reference.double(tiny.model())
    loss = 0.7 * (reference.distill_loss(model, both[:3]) + reference.nll_loss(model, nll))
    left, right = tiny.flat(found), tiny.flat(reference.gradient_of(loss, model))
    assert ((left - right).norm() / right.norm()).item() < 2e-6


def test_a_student_that_reads_what_its_teacher_reads_has_nothing_to_learn(tmp_path):
    rows = [
        Row(context_ids=r.reference.context_ids, target_ids=r.target_ids, term="distill", reference=r.reference)
        for r in rows_of("reverse_kl", None)
    ]
    (found,) = tiny.gradients_of(still(tmp_path), tiny.RowsFrom(lambda call: rows), reward_funcs=tiny.constant)
    assert torch.allclose(tiny.flat(found), torch.zeros((), dtype=torch.float64), atol=1e-6)


def test_a_teacher_has_no_dropout_and_its_student_has_that_of_training(tmp_path):
    rows = rows_of("forward_kl", None)
    trainer = tiny.mel_trainer(still(tmp_path), tiny.RowsFrom(lambda call: rows), reward_funcs=tiny.constant)
    passes = []
    of = trainer.model.register_forward_pre_hook(
        lambda model, args, kwargs: passes.append((model.training, torch.is_grad_enabled())), with_kwargs=True
    )
    trainer.train()
    of.remove()
    # The rows' pair of passes, then that of the policy.
    assert passes[-3:] == [(False, False), (True, True), (True, True)]
