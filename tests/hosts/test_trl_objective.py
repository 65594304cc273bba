"""Rows in the optimizer step: exact scale, equal backward modes, norms held where they are said to be."""

import copy

import pytest
import tiny
import torch

from mel.objective.weight import Constant
from mel.step import RowLearning
from mel.types import Row


def rows_of(count):
    """`count` rows of lengths 1 to 4 in turn, each its own tokens."""
    return [
        Row(
            context_ids=tuple(5 + (3 * i + k) % 40 for k in range(2 + i % 3)),
            target_ids=tuple(5 + (5 * i + k) % 40 for k in range(1 + i % 4)),
            weight=1.0 + 0.5 * (i % 2),
        )
        for i in range(count)
    ]


def dense_gradient(model, rows, *, factor, reduction="row"):
    """The gradient of factor * (mean over rows of weight * mean over tokens of the NLL), in float64, row by row."""
    model = copy.deepcopy(model).double()
    model.config._attn_implementation = "eager"
    total = torch.zeros((), dtype=torch.float64)
    for row in rows:
        ids = torch.tensor([row.context_ids + row.target_ids])
        logp = model(ids).logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[len(row.context_ids) - 1 :]
        mean = -logp.sum() / len(row.target_ids) / len(rows)
        token = -logp.sum() / sum(len(r.target_ids) for r in rows)
        total = total + row.weight * (mean if reduction == "row" else token)
    (factor * total).backward()
    return {name: p.grad for name, p in model.named_parameters()}


def assert_close(gradient, reference, *, tolerance=1e-5):
    left, right = tiny.flat(gradient), tiny.flat(reference)
    assert ((left - right).norm() / right.norm()).item() < tolerance


def still(path, **changes):
    """A configuration that learns nothing (learning rate 0), applies gradients unclipped, and one lambda."""
    return tiny.config(
        path, **{"learning_rate": 0.0, "max_grad_norm": 0.0, "mel_weight": "constant", "mel_lambda": 0.7, **changes}
    )


@pytest.mark.parametrize("reduction", ["row", "token"])
@pytest.mark.parametrize("backward", ["joint", "separate"])
@pytest.mark.parametrize("accumulation", [1, 2, 4])
def test_the_nll_gradient_is_the_dense_reference_for_unevenly_spread_rows(tmp_path, accumulation, backward, reduction):
    rows = rows_of(5)
    args = still(
        tmp_path,
        max_steps=1,
        gradient_accumulation_steps=accumulation,
        per_device_train_batch_size=8 // accumulation,
        num_generations=4 if accumulation < 4 else 2,
        mel_backward=backward,
        mel_reduction=reduction,
        mel_rows_per_backward=2,
    )
    (gradient,) = tiny.gradients_of(args, tiny.RowsFrom(lambda call: rows), reward_funcs=tiny.constant)
    assert_close(gradient, dense_gradient(tiny.model(), rows, factor=0.7, reduction=reduction))


def test_the_optimizer_steps_of_one_generation_batch_average_to_the_dense_reference(tmp_path):
    rows = rows_of(3)
    args = still(
        tmp_path, max_steps=2, per_device_train_batch_size=4, gradient_accumulation_steps=2, steps_per_generation=4
    )
    steps = tiny.gradients_of(args, tiny.RowsFrom(lambda call: rows), reward_funcs=tiny.constant)
    mean = {name: (steps[0][name] + steps[1][name]) / 2 for name in steps[0]}
    assert_close(mean, dense_gradient(tiny.model(), rows, factor=0.7))


def test_a_measured_step_has_the_same_gradient_as_an_unmeasured_one(tmp_path):
    changes = {"max_steps": 1, "gradient_accumulation_steps": 2, "per_device_train_batch_size": 4}
    found = [
        tiny.gradients_of(
            still(tmp_path, **changes),
            tiny.RowsFrom(lambda call: rows_of(5)),
            learning={"rows_from": RowLearning(weight=Constant(0.7, every=every))},
        )
        for every in (0, 1)
    ]
    assert_close(found[0][0], found[1][0], tolerance=1e-6)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_joint_backward_equals_separate_backward(tmp_path, accumulation):
    found = [
        tiny.gradients_of(
            still(
                tmp_path,
                max_steps=3,
                learning_rate=1e-3,
                gradient_accumulation_steps=accumulation,
                per_device_train_batch_size=8 // accumulation,
                mel_backward=backward,
            ),
            tiny.RowsFrom(tiny.some_rows),
        )
        for backward in ("joint", "separate")
    ]
    for joint, separate in zip(*found, strict=True):
        assert_close(joint, separate)


@pytest.mark.parametrize("layout", [{}, {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4}])
def test_grad_norm_keeps_the_applied_ratio_within_ten_percent_of_the_share(tmp_path, layout):
    same = {"max_steps": 20, "mel_weight": "grad_norm", "mel_lambda": 1.0, "mel_share": 3.0, **layout}
    auxiliary = tiny.RowsFrom(tiny.some_rows)
    with_rows = tiny.gradients_of(still(tmp_path / "rows", **same), auxiliary)
    # At learning rate 0 a run without rows makes the same rollouts and shows the policy's gradient alone.
    without = tiny.gradients_of(still(tmp_path / "none", **same), tiny.RowsFrom(lambda call: []))
    ratios = []
    for mel, policy in zip(with_rows, without, strict=True):
        norm = tiny.flat(policy).norm()
        if norm == 0:
            assert torch.equal(tiny.flat(mel), tiny.flat(policy))
        else:
            ratios.append(((tiny.flat(mel) - tiny.flat(policy)).norm() / norm).item())
    assert len(ratios) >= 10
    assert ratios == pytest.approx([3.0] * len(ratios), rel=0.001)


def test_between_measurements_lambda_is_the_mean_of_what_was_measured(tmp_path):
    args = tiny.config(tmp_path, max_steps=8, mel_measure_every=3, mel_share=2.0, mel_decay=0.5, learning_rate=0.0)
    trainer = tiny.mel_trainer(args, tiny.RowsFrom(tiny.some_rows))
    trainer.train()
    log = [line for line in trainer.state.log_history if "objective/lambda" in line]
    measured = [line["step"] for line in log if "objective/cosine" in line]
    assert measured == [1, 4, 7]
    ratios = {
        line["step"]: line["objective/grad_norm_policy"] / line["objective/grad_norm_auxiliary"]
        for line in log
        if line["step"] in measured
    }
    at = {line["step"]: line["objective/lambda"] for line in log}
    assert at[1] == pytest.approx(2.0 * ratios[1])
    assert at[2] == at[3] == pytest.approx(2.0 * ratios[1])
    assert at[5] == pytest.approx(2.0 * (0.25 * ratios[1] + 0.5 * ratios[4]) / 0.75)


def test_the_logged_nll_is_that_of_the_policy_at_any_sampling_temperature(tmp_path):
    rows = rows_of(3)
    model = tiny.model()
    expected = 0.0
    for row in rows:
        ids = torch.tensor([row.context_ids + row.target_ids])
        with torch.no_grad():
            logp = model(ids).logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])
        expected -= logp[len(row.context_ids) - 1 :].mean().item() / len(rows)
    for temperature in (1.0, 0.6):
        args = still(tmp_path, max_steps=1, temperature=temperature)
        trainer = tiny.mel_trainer(args, tiny.RowsFrom(lambda call: rows))
        trainer.train()
        assert trainer.state.log_history[0]["objective/nll"] == pytest.approx(expected, rel=1e-4)


def test_rows_at_another_temperature_have_the_gradient_of_the_dense_reference(tmp_path):
    rows = rows_of(5)
    args = still(tmp_path, max_steps=1, temperature=0.6)
    (gradient,) = tiny.gradients_of(args, tiny.RowsFrom(lambda call: rows), reward_funcs=tiny.constant)
    assert_close(gradient, dense_gradient(tiny.model(), rows, factor=0.7))


def test_several_updates_of_one_generation_batch_learn_its_rows_each_time(tmp_path):
    rows = rows_of(2)
    args = still(tmp_path, max_steps=2, num_iterations=2)
    steps = tiny.gradients_of(args, tiny.RowsFrom(lambda call: rows), reward_funcs=tiny.constant)
    reference = dense_gradient(tiny.model(), rows, factor=0.7)
    for gradient in steps:
        assert_close(gradient, reference)
