"""What to tell a person about a plan: notes before the start, and which knob to turn if it does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mel.config import Recipe
from mel.methods import Longest
from mel.plan.batch import Batch
from mel.plan.beside import unknown
from mel.plan.context import completion_limit
from mel.plan.layout import Layout
from mel.plan.numbers import GIB, Numbers, is_bf16

PAPER_ROLLOUTS = 1024
"""128 problems x 8 rollouts per optimizer step."""


def notes(recipe: Recipe, layout: Layout, n: Numbers, batch: Batch) -> Iterator[str]:
    """Notes on settings that run but may not be intended."""
    trainer, evaluation = recipe.trainer, recipe.evaluation
    if n.master == 2 and recipe.model.lora is None and float(trainer.get("learning_rate", 1e-6)) < 1e-5:
        yield (
            "bfloat16 weights without a float32 master: updates at this learning rate mostly round away; "
            "set model.dtype: float32, or shard with FSDP2 or ZeRO, which keep masters"
        )
    if not is_bf16(recipe):
        yield "no mixed precision (trainer.bf16: false): activations and working weights are as wide as loaded"
    if layout.source.startswith("assumed"):
        yield f"{layout.source}; give --accelerate-config for another layout"
    if layout.shards_parameters and evaluation.suites and (evaluation.after or evaluation.every):
        yield (
            "weights lie in shards: set evaluation.after: false and evaluation.every: null, and evaluate the saved "
            "model with `mel eval`"
        )
    model = unknown(recipe)
    if model is not None:
        yield (
            f"the process reward model {model} is not counted, since its sizes are not known: give the path of a "
            "directory with its config.json"
        )
    if batch.step_rollouts != PAPER_ROLLOUTS and not trainer.get("use_cpu", False):
        yield (
            f"{batch.step_rollouts} rollouts per optimizer step; the paper's batch is 128 problems x 8 = "
            f"{PAPER_ROLLOUTS}: with {layout.processes} processes, per_device_train_batch_size x "
            f"gradient_accumulation_steps = {PAPER_ROLLOUTS / layout.processes:g}"
        )


def refusal(
    parts: Mapping[str, float],
    recipe: Recipe,
    layout: Layout,
    batch: Batch,
    *,
    moment: str,
    limit: float,
    engine: str,
    rows: Sequence[Longest | None],
) -> str:
    """Why a recipe does not fit, in numbers, and the knobs of its three largest parts.

    Args:
        parts: name -> bytes at the worst moment.
        engine: kind of the engine that generates.
        rows: the longest row of each auxiliary.
    """
    largest = sorted(parts.items(), key=lambda item: item[1], reverse=True)
    listed = ", ".join(f"{name} {size / GIB:.1f}" for name, size in largest if size >= 0.05 * GIB)
    knobs = [knob for name, _ in largest if (knob := _knob(name, recipe, layout, batch, engine, rows))]
    return (
        f"recipe {recipe.name} does not fit: {sum(parts.values()) / GIB:.1f} GiB while {moment}, "
        f"{limit / GIB:.1f} GiB there is ({listed} GiB). Turn, the largest first: "
        + "; ".join(list(dict.fromkeys(knobs))[:3])
    )


def _knob(name: str, recipe: Recipe, layout: Layout, batch: Batch, engine: str, rows: Sequence[Longest | None]) -> str:
    if name in ("parameters", "gradients", "optimizer"):
        return _state_knob(name, recipe, layout)
    if name.startswith("activations"):
        return _activation_knob(recipe, batch, rows)
    if name == "engine":
        if engine == "transformers":
            return f"use_vllm: true, or generate fewer rollouts at once ({batch.local_rollouts} per GPU)"
        value = recipe.trainer.get("vllm_gpu_memory_utilization", 0.3)
        return f"lower vllm_gpu_memory_utilization ({value}), or vllm_enable_sleep_mode: true"
    if name == "forward pass of the process reward model":
        return f"lower max_completion_length ({completion_limit(recipe)})"
    if name.startswith(("forward pass", "implicit reward activations")):
        return (
            f"lower per_device_train_batch_size ({batch.micro}) or max_completion_length ({completion_limit(recipe)})"
        )
    return {
        "reference model": "trainer.beta: 0.0, which needs none",
        "process reward model": "a smaller process reward model, or one of bfloat16 weights",
        "implicit reward model": "credit.settings.source: monte_carlo or model, which copy no weights",
        "gradients not yet reduced": "trainer.accelerator_config.gradient_accumulation_kwargs.sync_each_batch: true",
        "rows' gradient set aside": "weight: {kind: constant, lambda: ...} and no gradients in diagnostics.measures",
        "copy of the initial policy": "leave initial_kl out of diagnostics.measures",
    }.get(name, "")


def _activation_knob(recipe: Recipe, batch: Batch, rows: Sequence[Longest | None]) -> str:
    checkpoint = "" if recipe.trainer.get("gradient_checkpointing", True) else "gradient_checkpointing: true, "
    knobs = [f"per_device_train_batch_size ({batch.micro})"]
    knobs += [f"rows_per_backward ({a.rows_per_backward})" for a in recipe.auxiliaries]
    knobs += [f"max_completion_length ({completion_limit(recipe)})", *(row.knob for row in rows if row)]
    *most, last = dict.fromkeys(knobs)
    return f"{checkpoint}lower {', '.join(most)} or {last}"


def _state_knob(name: str, recipe: Recipe, layout: Layout) -> str:
    if layout.strategy not in ("fsdp2", "zero3", "single"):
        return f"{layout.strategy} keeps whole {name}: use FSDP2 or ZeRO-3"
    if layout.processes > 1:
        return "shard over more GPUs, or offload"
    is_wide = "8bit" not in str(recipe.trainer.get("optim", ""))
    return "optim: adamw_bnb_8bit" if name == "optimizer" and is_wide else "train adapters (model.lora)"
