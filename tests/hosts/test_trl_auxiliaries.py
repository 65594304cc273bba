"""Several auxiliaries at once: each has its own weight, reduction and backward pass, and its own running mean."""

import itertools
import json
from dataclasses import replace

import pytest
import reference
import tiny
import torch
from two_ranks import fixed_completions

from mel.objective.weight import Constant, GradNorm
from mel.step import RowLearning
from mel.types import Row


class Named(tiny.RowsFrom):
    """Rows under a name of its own."""

    def __init__(self, name, rows):
        super().__init__(lambda call: rows)
        self.name = name


FIRST = [
    Row(context_ids=(5 + i, 6, 9), target_ids=tuple(10 + (3 * i + k) % 30 for k in range(1 + i)), weight=1.0 + i)
    for i in range(3)
]
SECOND = [Row(context_ids=(30, 31 + i), target_ids=tuple(8 + (7 * i + k) % 30 for k in range(4 - i))) for i in range(2)]


def still(path, **changes):
    return tiny.config(path, **{"learning_rate": 0.0, "max_grad_norm": 0.0, "max_steps": 1, **changes})


def gradients(args, learning, *, first=FIRST, **keywords):
    """Of every step, and the log."""
    recorder = tiny.StepGradients()
    auxiliaries = [Named(name, rows) for name, rows in (("first", first), ("second", SECOND)) if name in learning]
    keywords = {"rollout_func": fixed_completions, **keywords}
    trainer = tiny.mel_trainer(args, *auxiliaries, learning=learning, callbacks=[recorder], **keywords)
    trainer.train()
    return [tiny.flat(step) for step in recorder.steps], trainer.state.log_history


def of_rows(rows, reduction="row"):
    model = reference.double(tiny.model())
    return tiny.flat(reference.gradient_of(reference.nll_loss(model, rows, reduction=reduction), model))


def assert_near(found, expected, tolerance=1e-6):
    assert ((found - expected).norm() / expected.norm()).item() < tolerance


MODES = list(itertools.product(["joint", "separate"], ["joint", "separate"]))


@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize(("left", "right"), MODES)
def test_the_gradient_is_the_policys_plus_each_auxiliarys_at_its_own_weight(tmp_path, left, right, accumulation):
    args = still(tmp_path, gradient_accumulation_steps=accumulation, per_device_train_batch_size=8 // accumulation)
    learning = {
        "first": RowLearning(weight=Constant(0.3), backward=left, reduction="token", rows_per_backward=2),
        "second": RowLearning(weight=Constant(2.0), backward=right, rows_per_backward=1),
    }
    (both,), log = gradients(args, learning)
    (policy,), _ = gradients(args, {})
    assert policy.norm() > 0
    assert_near(both, policy + 0.3 * of_rows(FIRST, "token") + 2.0 * of_rows(SECOND))
    assert log[0]["objective/first/lambda"] == 0.3
    assert log[0]["objective/second/lambda"] == 2.0


@pytest.mark.parametrize("backward", ["joint", "separate"])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_matched_norm_beside_a_constant_weight_is_matched_to_the_policy_alone(tmp_path, accumulation, backward):
    args = still(tmp_path, gradient_accumulation_steps=accumulation, per_device_train_batch_size=8 // accumulation)
    learning = {
        "first": RowLearning(weight=GradNorm(0.5)),
        "second": RowLearning(weight=Constant(2.0), backward=backward),
    }
    (both,), log = gradients(args, learning)
    (policy,), _ = gradients(args, {})
    first = of_rows(FIRST)
    lambda_ = 0.5 * policy.norm() / first.norm()
    assert_near(both, policy + lambda_ * first + 2.0 * of_rows(SECOND))
    assert log[0]["objective/first/lambda"] == pytest.approx(lambda_.item(), rel=1e-5)
    cosine = torch.nn.functional.cosine_similarity(policy, first, dim=0).item()
    assert log[0]["objective/first/cosine"] == pytest.approx(cosine, abs=1e-5)
    assert "objective/second/cosine" not in log[0]


def of_sampled(rows, advantage):
    """The same rows as samples of an auxiliary's own, each with that advantage."""
    return [
        replace(
            row,
            term="policy",
            advantages=(advantage,) * len(row.target_ids),
            is_sampled=(True,) * len(row.target_ids),
        )
        for row in rows
    ]


@pytest.mark.parametrize("backward", ["joint", "separate"])
def test_an_auxiliarys_own_samples_have_its_weight_and_denominator_and_the_surrogates_gradient(tmp_path, backward):
    # On-policy and with advantage a, the surrogate's gradient is a times that of the likelihood.
    args = still(tmp_path, gradient_accumulation_steps=2, per_device_train_batch_size=4)
    learning = {"first": RowLearning(weight=Constant(0.3), backward=backward)}
    (found,), _ = gradients(args, learning, first=of_sampled(FIRST, -0.5))
    (policy,), _ = gradients(args, {})
    assert_near(found, policy - 0.15 * of_rows(FIRST))


def test_a_conflicting_gradient_is_added_without_what_points_against_the_policys(tmp_path):
    args = still(tmp_path, gradient_accumulation_steps=2, per_device_train_batch_size=4)
    (policy,), _ = gradients(args, {})
    first = of_rows(FIRST)
    against = first if first @ policy < 0 else -first
    sign = 1.0 if against is first else -1.0
    learning = {"first": RowLearning(weight=GradNorm(0.5), conflict="project")}
    (found,), log = gradients(args, learning, first=of_sampled(FIRST, sign))
    lambda_ = 0.5 * policy.norm() / first.norm()
    assert_near(found, policy + lambda_ * (against - (against @ policy) / (policy @ policy) * policy))
    assert log[0]["objective/cosine"] < 0
    (along,), _ = gradients(args, learning, first=of_sampled(FIRST, -sign))
    assert_near(along, policy - lambda_ * against)


@pytest.mark.parametrize("rule", [lambda: Constant(0.8), lambda: GradNorm(0.5)])
def test_a_scheduled_weight_falls_on_a_line_to_what_is_left_of_it(tmp_path, rule):
    args = still(tmp_path, max_steps=4)
    _, plain = gradients(args, {"first": RowLearning(weight=rule())})
    _, falling = gradients(args, {"first": RowLearning(weight=rule(), schedule="linear", final=0.5)})
    shares = [b["objective/lambda"] / a["objective/lambda"] for a, b in zip(plain[:4], falling[:4], strict=True)]
    assert shares == pytest.approx([1.0, 0.875, 0.75, 0.625])


def test_auxiliaries_are_measured_each_at_its_own_steps(tmp_path):
    args = still(tmp_path, max_steps=6)
    learning = {
        "first": RowLearning(weight=GradNorm(0.5, every=2)),
        "second": RowLearning(weight=GradNorm(0.25, every=3), backward="joint"),
    }
    both, log = gradients(args, learning)
    policy, _ = gradients(args, {})
    lines = [line for line in log if "objective/first/lambda" in line]
    measured = {
        name: [line["step"] for line in lines if f"objective/{name}/cosine" in line] for name in ("first", "second")
    }
    assert measured == {"first": [1, 3, 5], "second": [1, 4]}
    first, second = of_rows(FIRST), of_rows(SECOND)
    for found, own, line in zip(both, policy, lines, strict=True):
        expected = own + line["objective/first/lambda"] * first + line["objective/second/lambda"] * second
        assert_near(found, expected, tolerance=2e-6)


def test_a_checkpoint_keeps_the_running_mean_of_every_auxiliary(tmp_path):
    def trainer(steps):
        learning = {
            "first": RowLearning(weight=GradNorm(0.5, every=2, decay=0.5)),
            "second": RowLearning(weight=GradNorm(0.25, every=3, decay=0.5)),
        }
        args = tiny.config(tmp_path, max_steps=steps, save_strategy="steps", save_steps=4, learning_rate=1e-3)
        found = tiny.mel_trainer(args, Named("first", FIRST), Named("second", SECOND), learning=learning)
        return found, learning

    whole, expected = trainer(6)
    whole.train()
    state = json.loads((tmp_path / "checkpoint-4" / "mel_state.json").read_text())
    assert state["batches"] == 4
    assert {name: kept["rule"] for name, kept in state["weights"].items()} == {
        "first": "GradNorm",
        "second": "GradNorm",
    }
    assert state["weights"]["first"]["sum"] != state["weights"]["second"]["sum"]
    resumed, learning = trainer(6)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    for name in ("first", "second"):
        assert learning[name].weight.state() == expected[name].weight.state()
    for name, parameter in tiny.parameters(resumed).items():
        assert torch.equal(parameter, tiny.parameters(whole)[name])


def test_auxiliaries_may_not_share_a_weight(tmp_path):
    shared = RowLearning(weight=GradNorm(0.5))
    with pytest.raises(ValueError, match="first and second share one weight"):
        gradients(still(tmp_path), {"first": shared, "second": shared})


def test_learning_for_an_auxiliary_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(ValueError, match="names of auxiliaries \\(first\\), got 'frist'"):
        gradients(still(tmp_path), {"first": RowLearning(), "frist": RowLearning()})


class CountsOnce(tiny.RowsFrom):
    """Counts something in its second batch alone."""

    def learn(self, groups, *, step):
        outcome = yield from super().learn(groups, step=step)
        return replace(outcome, counts={"odd": 3} if self.calls == 2 else {})


def test_a_line_over_several_batches_counts_a_batch_without_a_count_as_nothing(tmp_path):
    trainer = tiny.mel_trainer(tiny.config(tmp_path, max_steps=3, logging_steps=3), CountsOnce(lambda call: []))
    trainer.train()
    # The mean per generation batch of 0, 3 and 0.
    assert trainer.state.log_history[0]["rows_from/odd"] == 1.0
