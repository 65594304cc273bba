"""A plan adds up, refuses what cannot fit with a knob that helps, and renders."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from mel import plan
from mel.config import Recipe, load_recipe
from mel.plan import DoesNotFit, parse_layout
from mel.plan.numbers import GIB

SHAPE = plan.shape_of("Qwen3-4B-Base")
VLLM = {"use_vllm": True, "vllm_gpu_memory_utilization": 0.3, "vllm_max_model_length": 16_384}
ONE = parse_layout({"distributed_type": "NO"}, source="one")
FSDP2 = {"distributed_type": "FSDP", "num_processes": 16, "fsdp_config": {"fsdp_version": 2}}
SIXTEEN = parse_layout(FSDP2, source="f.yaml")
DEEPSPEED = parse_layout({"distributed_type": "DEEPSPEED", "num_processes": 8}, source="z.yaml")
MEL = [{"name": "meta_experience"}]
CONSTANT = {"kind": "constant", "lambda": 1.0, "every": 0}


def shown(p: plan.Plan) -> str:
    console = Console(width=200, file=io.StringIO())
    with console.capture() as capture:
        console.print(plan.render(p))
    return capture.get()


def refused(recipe: Recipe, **options: Any) -> str:
    with pytest.raises(DoesNotFit) as error:
        plan.estimate(recipe, SHAPE, **({"gpus": 1, "gpu_memory_gib": 80.0} | options))
    assert not error.value.plan.fits
    return str(error.value)


def test_the_parts_add_up_to_the_peak() -> None:
    recipe = load_recipe("qwen3_4b_8gpu")
    p = plan.estimate(recipe, SHAPE, gpus=8, gpu_memory_gib=80, layout=plan.load_layout("fsdp2_8gpu"))
    assert p.peak == sum(p.training.values()) > sum(p.generating.values())
    assert p.training["parameters"] == 4 * SHAPE.parameters / 8
    assert p.training["engine"] == pytest.approx(0.45 * 80 * GIB)
    assert p.total_parameters == p.trained_parameters == SHAPE.parameters


def test_all_weights_of_4b_do_not_fit_one_gpu_and_the_optimizer_is_named_first(recipe: Callable[..., Recipe]) -> None:
    message = refused(recipe(trainer=VLLM))
    assert "recipe r does not fit: " in message
    assert "GiB while training, 80.0 GiB there is (optimizer 30.0, engine 24.0, parameters 15.0" in message
    assert "Turn, the largest first: optim: adamw_bnb_8bit; lower vllm_gpu_memory_utilization (0.3)" in message


def test_the_advice_that_a_refusal_gives_makes_it_fit(recipe: Callable[..., Recipe]) -> None:
    changed = VLLM | {"optim": "adamw_bnb_8bit", "vllm_enable_sleep_mode": True}
    small = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 256}
    assert plan.estimate(recipe(trainer=changed | small), SHAPE, gpus=1, gpu_memory_gib=80).fits


def test_ddp_keeps_everything_whole_and_is_told_to_shard(recipe: Callable[..., Recipe]) -> None:
    layout = parse_layout({"distributed_type": "MULTI_GPU", "num_processes": 8}, source="ddp.yaml")
    assert "ddp keeps whole optimizer: use FSDP2 or ZeRO-3" in refused(recipe(trainer=VLLM), gpus=8, layout=layout)


def test_generating_with_transformers_needs_the_cache_of_a_whole_batch(recipe: Callable[..., Recipe]) -> None:
    lora = {"path": "x", "dtype": "bfloat16", "lora": {"r": 8}}
    message = refused(recipe(model=lora))
    assert "while generating" in message
    assert "use_vllm: true, or generate fewer rollouts at once (128 per GPU)" in message


def test_whole_gradients_under_fsdp2_are_told_to_be_reduced_each_time(recipe: Callable[..., Recipe]) -> None:
    trainer = VLLM | {"vllm_gpu_memory_utilization": 0.5}
    message = refused(recipe(trainer=trainer, auxiliaries=MEL), gpus=8, gpu_memory_gib=60)
    assert "sync_each_batch: true" in message


def test_without_a_configuration_several_gpus_are_assumed_to_shard_and_that_is_said(
    recipe: Callable[..., Recipe],
) -> None:
    p = plan.estimate(recipe(trainer=VLLM), SHAPE, gpus=8, gpu_memory_gib=80)
    assert (p.layout.strategy, p.layout.processes) == ("fsdp2", 8)
    assert any(note.startswith("assumed: FSDP2 over 8 GPUs") for note in p.notes)
    server = plan.estimate(recipe(trainer=VLLM | {"vllm_mode": "server"}), SHAPE, gpus=8, gpu_memory_gib=80)
    assert (server.layout.processes, server.training["engine"]) == (4, 0.0)


def test_joint_rows_keep_their_activations_beside_the_policys(recipe: Callable[..., Recipe]) -> None:
    def kept(backward: str) -> float:
        auxiliary = {"name": "meta_experience", "weight": CONSTANT, "backward": backward, "rows_per_backward": 1}
        p = plan.estimate(recipe(trainer=VLLM, auxiliaries=[auxiliary]), SHAPE, gpus=8, gpu_memory_gib=200)
        return p.training["activations kept"]

    assert kept("joint") > kept("separate")


@pytest.mark.parametrize(
    ("trainer", "options", "message"),
    [
        ({"num_generations": 7}, {}, "x steps_per_generation (16) = 128 must be a multiple of num_generations (7)"),
        ({"generation_batch_size": 100}, {}, "generation_batch_size (100) must be a multiple of"),
        ({"optim": "lomo"}, {}, "got 'lomo'"),
        ({}, {"layout": SIXTEEN}, "f.yaml starts 16 training processes, but there are 8 GPUs"),
        ({"steps_per_generation": 4}, {}, "(4) to be a multiple of gradient_accumulation_steps (16)"),
        ({}, {"layout": DEEPSPEED}, "z.yaml: DeepSpeed keeps gradients where they cannot be measured"),
    ],
)
def test_what_cannot_run_at_all_is_refused(
    recipe: Callable[..., Recipe], trainer: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError) as error:
        plan.estimate(recipe(trainer=VLLM | trainer, auxiliaries=MEL), SHAPE, gpus=8, gpu_memory_gib=80, **options)
    assert message in str(error.value)


def test_bfloat16_weights_without_masters_and_an_evaluation_of_shards_are_noted(recipe: Callable[..., Recipe]) -> None:
    suites = {"suites": [{"name": "aime24"}]}
    r = recipe(model={"path": "x", "dtype": "bfloat16"}, trainer=VLLM, evaluation=suites)
    alone = plan.estimate(r, SHAPE, gpus=1, gpu_memory_gib=120, layout=ONE)
    assert any("mostly round away" in note for note in alone.notes)
    sharded = plan.estimate(r, SHAPE, gpus=8, gpu_memory_gib=80)
    assert any("evaluation.after: false" in note for note in sharded.notes)
    assert not any("round away" in note for note in sharded.notes)


def test_a_plan_renders_memory_tokens_and_context() -> None:
    recipe = load_recipe("qwen3_4b_8gpu")
    p = plan.estimate(recipe, SHAPE, gpus=8, gpu_memory_gib=80, layout=plan.load_layout("fsdp2_8gpu"))
    out = shown(p)
    for part in ("4.02 B parameters", "fits, ", "MEL / GRPO, sampled", "construct", "128 problems x 8 = 1024 rollouts"):
        assert part in out
    with pytest.raises(DoesNotFit) as error:
        plan.estimate(recipe, SHAPE, gpus=8, gpu_memory_gib=40, layout=plan.load_layout("fsdp2_8gpu"))
    assert "does not fit, " in shown(error.value.plan)


def test_the_miniature_can_be_planned_too() -> None:
    recipe = load_recipe("recommended")
    shape = plan.shape_from_config(
        {"model_type": "qwen3", "vocab_size": 160, "hidden_size": 160, "intermediate_size": 480}
        | {"num_hidden_layers": 4, "num_attention_heads": 5, "head_dim": 32, "max_position_embeddings": 512}
        | {"tie_word_embeddings": True}
    )
    p = plan.estimate(recipe, shape, gpus=8, gpu_memory_gib=4)
    assert p.fits
    assert p.layout.strategy == "single"
    assert p.batch.step_problems == 8


def test_planning_loads_no_torch() -> None:
    code = "import sys, mel.plan; sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'trl')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
