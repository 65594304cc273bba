"""Diagnostics under TRL: what is trained is what it was without them, bit for bit, and the measures are right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import tiny
import torch
from peft import LoraConfig, get_peft_model

from mel.hosts.trl import MELTrainer
from mel.hosts.trl.defaults import check_method
from mel.methods import MetaExperienceSettings
from mel.objective.weight import Constant
from mel.step import RowLearning
from mel.types import Problem, Step

EVERYTHING = ["gradients", "initial_kl", "localization", "recovery", "hint_reliance"]


def words_as_steps(solution: str) -> tuple[Step, ...]:
    starts = [i for i, c in enumerate(solution) if c == "w"]
    ends = [*starts[1:], len(solution)][: len(starts)]
    return tuple(Step(number=n, start=a, end=b) for n, (a, b) in enumerate(zip(starts, ends, strict=True), 1))


class KnowsTheFirstWord:
    """Every wrong solution is wrong from its first word on."""

    def first_error(self, problem: Problem, response: str) -> int | None:
        return 1 if response else None

    def is_true_rule(self, problem: Problem, heuristic: str) -> bool | None:
        return None


def trained(
    path: Any,
    measures: Sequence[str],
    backward: str = "separate",
    *,
    policy: Any = None,
    resume: Any = None,
    **more: Any,
) -> MELTrainer:
    auxiliary = tiny.RowsFrom(tiny.some_rows, prompts=lambda call: 2)
    method = tiny.measured_method(
        auxiliary,
        measures,
        every=2,
        steps=words_as_steps,
        rollout_max_tokens=40,
        inspector=KnowsTheFirstWord(),
    )
    learning = {auxiliary.name: RowLearning(weight=Constant(0.7), backward=backward)}  # type: ignore[arg-type]
    model = policy or tiny.model()
    for layer in model.get_submodule("base_model.model.model" if policy else "model").layers:
        layer.self_attn.attention_dropout = 0.1  # a pass that drew from the trainer's stream would be seen
    layout = {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4, "max_completion_length": 40}
    args = tiny.config(path, max_steps=3, save_strategy="steps", save_steps=2, beta=more.pop("beta", 0.0), **layout)
    trainer = tiny.trainer(MELTrainer, args, model=model, method=method, learning=learning, **more)
    trainer.train(resume_from_checkpoint=resume)
    return trainer


@pytest.mark.parametrize("backward", ["separate", "joint"])
def test_with_every_measure_the_trained_weights_and_metrics_are_bit_for_bit_those_without(tmp_path, backward):
    plain, measured = (trained(tmp_path, measures, backward) for measures in ([], EVERYTHING))
    for (name, one), other in zip(plain.model.named_parameters(), measured.model.parameters(), strict=True):
        assert torch.equal(one, other), name
    own = ("diagnostics", "objective/cosine", "objective/grad_norm", "time", "runtime", "per_second")
    lines = [
        [{k: v for k, v in line.items() if not any(word in k for word in own)} for line in t.state.log_history]
        for t in (plain, measured)
    ]
    assert lines[0] == lines[1]
    first, second, third = measured.state.log_history[:3]
    assert {"diagnostics/initial_kl", "objective/cosine", "diagnostics/recovery/gain"} <= first.keys() & third.keys()
    assert not any("objective/cosine" in k or k.startswith("diagnostics/") for k in second)
    assert first["diagnostics/initial_kl"] == pytest.approx(0.0, abs=1e-6)
    assert third["diagnostics/initial_kl"] > 1e-4
    assert first["tokens/diagnostics"] > 0 == second["tokens/diagnostics"]


ADAPTER = {"r": 2, "lora_alpha": 64, "target_modules": ["q_proj", "v_proj"], "lora_dropout": 0.1}


def already_trained() -> Any:
    """A policy whose adapter is another than a new one."""
    torch.manual_seed(5)
    return get_peft_model(tiny.model(), LoraConfig(**ADAPTER, init_lora_weights=False))


@pytest.mark.parametrize(
    "start",
    [
        dict,
        lambda: {"peft_config": LoraConfig(**ADAPTER)},
        lambda: {"peft_config": LoraConfig(**ADAPTER, init_lora_weights=False)},
        lambda: {"policy": already_trained()},
        lambda: {"policy": already_trained(), "beta": 0.01},
    ],
    ids=["all weights", "a new adapter", "one with weights", "one trained before", "one that TRL keeps a copy of"],
)
def test_the_initial_policy_is_that_of_the_first_step_also_after_a_resume(tmp_path: Any, start: Any) -> None:
    whole = trained(tmp_path / "whole", ["initial_kl"], **start())
    checkpoint = str(tmp_path / "whole" / "checkpoint-2")
    resumed = trained(tmp_path / "resumed", ["initial_kl"], resume=checkpoint, **start())
    first, third, last = (
        next(line["diagnostics/initial_kl"] for line in trainer.state.log_history if line["step"] == step)
        for trainer, step in ((whole, 1), (whole, 3), (resumed, 3))
    )
    assert first == pytest.approx(0.0, abs=1e-6)
    assert third == pytest.approx(last, rel=1e-6)
    assert third > 1e-4


def test_compared_gradients_are_those_that_a_measurement_sets_aside(tmp_path):
    def logged(**changes):
        args = tiny.still(tmp_path, max_steps=1, **changes)
        trainer = tiny.mel_trainer(args, tiny.RowsFrom(tiny.some_rows))
        if changes["mel_weight"] == "constant":
            trainer._update._compare_every = 1
        trainer.train()
        line = trainer.state.log_history[0]
        return [line[f"objective/{name}"] for name in ("cosine", "grad_norm_policy", "grad_norm_auxiliary")]

    compared = logged(mel_weight="constant", mel_lambda=0.7)
    assert compared == pytest.approx(logged(mel_weight="grad_norm"), rel=1e-4)


def test_what_compares_problems_is_refused_where_a_process_sees_one_at_a_time(tmp_path):
    alone = tiny.config(tmp_path, per_device_train_batch_size=4)
    kept = {"surrogate": "grpo", "carrier": "grpo", "credit": "outcome", "has_auxiliaries": True}
    shuffled = MetaExperienceSettings(filter="shuffled")
    with pytest.raises(ValueError, match=r"compares the groups .* = 4 must be at least twice num_generations \(4\)"):
        check_method(alone, settings=[shuffled], **kept)
    check_method(alone, settings=[MetaExperienceSettings()], **kept)
    check_method(tiny.config(tmp_path, per_device_train_batch_size=8), settings=[shuffled], **kept)


def test_a_constant_weight_that_measures_says_where_that_went(tmp_path):
    with pytest.raises(ValueError, match=r"mel_measure_every: .* mel_diagnostics=\{'measures': \['gradients'\]"):
        tiny.config(tmp_path, mel_weight="constant", mel_measure_every=4)
