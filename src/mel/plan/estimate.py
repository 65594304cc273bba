"""A plan: what a recipe needs on each GPU, whether it fits, and what an optimizer step costs in tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mel.config import Recipe
from mel.plan.activations import Activations, Pass, activations
from mel.plan.batch import Batch, batch_of
from mel.plan.context import (
    INSTRUCTION_TOKENS,
    PROMPT_TOKENS,
    Longest,
    check_context,
    completion_limit,
    longest_row,
    longest_sequences,
)
from mel.plan.engine import Engine, transformers_engine, vllm_engine
from mel.plan.layout import Layout, assumed_layout
from mel.plan.numbers import GIB, Numbers, is_bf16, numbers
from mel.plan.shapes import ModelShape
from mel.plan.states import States, measures_gradients, states, trained
from mel.plan.tokens import Assumptions, Tokens, tokens_per_step

CONTEXT = 1.0 * GIB
"""CUDA context and kernels of one process."""

NETWORK = 1.0 * GIB
"""NCCL's buffers, where there is more than one process."""

MARGIN = 0.05
"""Share of the states and activations added for fragmentation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Bytes per GPU by part, tokens per step, and whether it fits.

    Args:
        training: name -> bytes while the model trains.
        generating: name -> bytes while it generates.
        limit: bytes of one GPU.
        host: bytes of a node's memory that offloading takes.
        notes: what a person should know before starting.
    """

    recipe: str
    layout: Layout
    batch: Batch
    total_parameters: int
    trained_parameters: int
    training: dict[str, float]
    generating: dict[str, float]
    limit: float
    host: float
    cache_tokens: int
    engine: str
    longest: tuple[Longest, ...]
    row: Longest | None
    tokens: Tokens
    assumptions: Assumptions
    notes: tuple[str, ...]

    @property
    def peak(self) -> float:
        """Bytes at the worse of the two moments."""
        return max(sum(self.training.values()), sum(self.generating.values()))

    @property
    def fits(self) -> bool:
        return self.peak <= self.limit


class DoesNotFit(ValueError):
    """A recipe that needs more memory than there is; `plan` holds the numbers."""

    def __init__(self, message: str, plan: Plan) -> None:
        super().__init__(message)
        self.plan = plan


def estimate(
    recipe: Recipe,
    shape: ModelShape,
    *,
    gpus: int,
    gpu_memory_gib: float,
    nodes: int = 1,
    layout: Layout | None = None,
    assumptions: Assumptions | None = None,
    prompt_tokens: int = PROMPT_TOKENS,
    instruction_tokens: int = INSTRUCTION_TOKENS,
) -> Plan:
    """What the recipe needs on each of the GPUs that train.

    Args:
        gpus: per node, those of a vLLM server included.
        layout: from an accelerate configuration; None for one process, or FSDP2 over all GPUs (half of them if a
            vLLM server needs the others).
        prompt_tokens: the longest problem in its solve prompt; `instruction_tokens`: see `check_context`.

    Raises:
        DoesNotFit: with the numbers and which knob to turn.
        ValueError: a batch, context or layout that cannot run at all.
    """
    layout = layout or _assumed(recipe, gpus, nodes)
    _check_gpus(recipe, layout, gpus * nodes)
    batch = batch_of(recipe, layout)
    check_context(recipe, shape, prompt_tokens=prompt_tokens, instruction_tokens=instruction_tokens)
    _check_measuring(recipe, layout, batch)
    at = assumptions or Assumptions()
    n = numbers(recipe, layout)
    longest = longest_sequences(recipe, prompt_tokens=prompt_tokens, instruction_tokens=instruction_tokens)
    row = longest_row(recipe, prompt_tokens=prompt_tokens, instruction_tokens=instruction_tokens)
    held, of = states(recipe, shape, layout, n), trained(shape, recipe.model.lora, n)
    limit = gpu_memory_gib * GIB
    engine = engine_of(recipe, shape, batch, n, longest, limit)
    acts = peak_activations(recipe, shape, batch, n, prompt_tokens=prompt_tokens, row=row)
    plan = Plan(
        recipe=recipe.name,
        layout=layout,
        batch=batch,
        total_parameters=of.total,
        trained_parameters=of.trained,
        training=_training(held, acts, engine, layout),
        generating=_generating(held, engine, layout),
        limit=limit,
        host=held.host,
        cache_tokens=engine.cache_tokens,
        engine=engine.kind,
        longest=tuple(longest),
        row=row,
        tokens=tokens_per_step(recipe, batch, at),
        assumptions=at,
        notes=tuple(_notes(recipe, layout, n, batch)),
    )
    if not plan.fits:
        raise DoesNotFit(_refusal(plan, recipe, batch), plan)
    return plan


def peak_activations(
    recipe: Recipe, shape: ModelShape, batch: Batch, n: Numbers, *, prompt_tokens: int, row: Longest | None
) -> Activations:
    """The peak over the policy's micro-batch and the rows', which go through together if backward is joint."""
    checkpointed = bool(recipe.trainer.get("gradient_checkpointing", True))
    padded = recipe.model.attention != "flash_attention_2"
    limit = completion_limit(recipe)
    lora = recipe.model.lora

    def of(rows: int, tokens: int, targets: int) -> Activations:
        p = Pass(rows=rows, tokens=tokens, targets=targets, is_checkpointed=checkpointed, has_padding=padded)
        return activations(shape, n, p, lora=lora)

    policy = of(batch.micro, prompt_tokens + limit, limit)
    if row is None:
        return policy
    auxiliary = recipe.auxiliaries[0]
    per_slot = math.ceil(auxiliary.build().pairs_per_group * batch.local_groups / batch.slots)
    is_joint = auxiliary.backward == "joint" and not auxiliary.weight.every
    rows = of(per_slot if is_joint else min(per_slot, auxiliary.rows_per_backward), row.tokens, row.completion)
    if is_joint:
        return Activations(stream=policy.stream + rows.stream, working=max(policy.working, rows.working))
    return max(policy, rows, key=lambda a: a.total)


def engine_of(
    recipe: Recipe, shape: ModelShape, batch: Batch, n: Numbers, longest: Sequence[Longest], memory: float
) -> Engine:
    """What generation holds on a training GPU."""
    trainer = recipe.trainer
    if not trainer.get("use_vllm", False):
        rows = {"rollout": batch.local_rollouts}
        for auxiliary in recipe.auxiliaries:
            s = auxiliary.build()
            rows["construct"] = batch.local_groups * s.pairs_per_group
            rows["replay"] = rows["construct"] * s.replay_samples
        engines = [transformers_engine(shape, rows=rows[x.phase], tokens=x.tokens, element=n.model) for x in longest]
        return max(engines, key=lambda e: e.generating)
    if trainer.get("vllm_mode", "colocate") == "server":
        return Engine(kind="server", generating=0.0, training=0.0, cache_tokens=0)
    parallel = int(trainer.get("vllm_tensor_parallel_size", 1))
    return vllm_engine(
        shape,
        memory=memory,
        utilization=float(trainer.get("vllm_gpu_memory_utilization", 0.3)),
        tensor_parallel=parallel,
        sequences=batch.local_rollouts * parallel,
        sleeps=bool(trainer.get("vllm_enable_sleep_mode", False)),
    )


def _training(held: States, acts: Activations, engine: Engine, layout: Layout) -> dict[str, float]:
    parts = {
        "parameters": held.parameters,
        "gradients": held.gradients,
        "gradients not yet reduced": held.unsharded,
        "rows' gradient set aside": held.set_aside,
        "optimizer": held.optimizer,
        "communication": held.buffers,
        "activations kept": acts.stream,
        "activations at the peak": acts.working,
    }
    return parts | {"engine": engine.training, "reserve": _reserve(sum(parts.values()), layout)}


def _generating(held: States, engine: Engine, layout: Layout) -> dict[str, float]:
    parts = {"parameters": held.parameters, "optimizer": held.optimizer, "communication": held.buffers}
    return parts | {"engine": engine.generating, "reserve": _reserve(sum(parts.values()), layout)}


def _reserve(used: float, layout: Layout) -> float:
    return MARGIN * used + CONTEXT + (NETWORK if layout.processes > 1 else 0.0)


def _assumed(recipe: Recipe, gpus: int, nodes: int) -> Layout:
    total = gpus * nodes
    is_server = recipe.trainer.get("use_vllm", False) and recipe.trainer.get("vllm_mode", "colocate") == "server"
    return assumed_layout(max(total // 2, 1) if is_server else total, nodes=nodes)


def _check_gpus(recipe: Recipe, layout: Layout, total: int) -> None:
    is_server = recipe.trainer.get("use_vllm", False) and recipe.trainer.get("vllm_mode", "colocate") == "server"
    if layout.processes > total - is_server:
        raise ValueError(
            f"{layout.source} starts {layout.processes} training processes"
            f"{' and the vLLM server needs a GPU of its own' if is_server else ''}, but there are {total} GPUs "
            "(--gpus x --nodes)"
        )


def _check_measuring(recipe: Recipe, layout: Layout, batch: Batch) -> None:
    if not measures_gradients(recipe):
        return
    if layout.is_deepspeed:
        raise ValueError(
            f"{layout.source}: DeepSpeed keeps gradients where they cannot be measured; use an FSDP2 or DDP "
            "configuration, or weight: {kind: constant, lambda: ..., every: 0}"
        )
    if batch.slots % batch.accumulation:
        raise ValueError(
            f"measuring gradients (weight.every) needs steps_per_generation ({batch.slots}) to be a multiple of "
            f"gradient_accumulation_steps ({batch.accumulation}); change one, or use weight: {{kind: constant, "
            "lambda: ..., every: 0}"
        )


def _notes(recipe: Recipe, layout: Layout, n: Numbers, batch: Batch) -> list[str]:
    notes = []
    if n.master == 2 and recipe.model.lora is None and float(recipe.trainer.get("learning_rate", 1e-6)) < 1e-5:
        notes.append(
            "bfloat16 weights without a float32 master: updates at this learning rate mostly round away; "
            "set model.dtype: float32, or shard with FSDP2 or ZeRO, which keep masters"
        )
    if not is_bf16(recipe):
        notes.append("no mixed precision (trainer.bf16: false): activations and working weights are as wide as loaded")
    if layout.source.startswith("assumed"):
        notes.append(f"{layout.source}; give --accelerate-config for another layout")
    if batch.step_rollouts != 1024 and not recipe.trainer.get("use_cpu", False):
        notes.append(
            f"{batch.step_rollouts} rollouts per optimizer step; the paper's batch is 128 problems x 8 = 1024: with "
            f"{layout.processes} processes, per_device_train_batch_size x gradient_accumulation_steps = "
            f"{1024 / layout.processes:g}"
        )
    return notes


def _refusal(plan: Plan, recipe: Recipe, batch: Batch) -> str:
    moment, parts = max(
        (("training", plan.training), ("generating", plan.generating)), key=lambda item: sum(item[1].values())
    )
    largest = sorted(parts.items(), key=lambda item: item[1], reverse=True)
    listed = ", ".join(f"{name} {size / GIB:.1f}" for name, size in largest if size >= 0.05 * GIB)
    knobs = [knob for name, _ in largest if (knob := _knob(name, plan, recipe, batch))]
    return (
        f"recipe {plan.recipe} does not fit: {plan.peak / GIB:.1f} GiB while {moment}, {plan.limit / GIB:.1f} GiB "
        f"there is ({listed} GiB). Turn, the largest first: " + "; ".join(dict.fromkeys(knobs[:3]))
    )


def _knob(name: str, plan: Plan, recipe: Recipe, batch: Batch) -> str:
    trainer, layout = recipe.trainer, plan.layout
    shard = "train adapters (model.lora)" if layout.processes == 1 else "shard over more GPUs, or offload"
    if name in ("parameters", "gradients", "optimizer"):
        is_sharded = layout.strategy in ("fsdp2", "zero3", "single")
        eight_bit = name == "optimizer" and "8bit" not in str(trainer.get("optim", "")) and layout.processes == 1
        way = "optim: adamw_bnb_8bit" if eight_bit else shard
        return way if is_sharded else f"{layout.strategy} keeps whole {name}: use FSDP2 or ZeRO-3"
    if name.startswith("activations"):
        rows = f", rows_per_backward ({recipe.auxiliaries[0].rows_per_backward})" if recipe.auxiliaries else ""
        checkpoint = "" if trainer.get("gradient_checkpointing", True) else "gradient_checkpointing: true, "
        return (
            f"{checkpoint}lower per_device_train_batch_size ({batch.micro}){rows}, max_completion_length "
            f"({completion_limit(recipe)}) or max_pair_tokens"
        )
    if name == "engine":
        if plan.engine == "transformers":
            return f"use_vllm: true, or generate fewer rollouts at once ({batch.local_rollouts} per GPU)"
        value = trainer.get("vllm_gpu_memory_utilization", 0.3)
        return f"lower vllm_gpu_memory_utilization ({value}), or vllm_enable_sleep_mode: true"
    return {
        "gradients not yet reduced": "trainer.accelerator_config.gradient_accumulation_kwargs.sync_each_batch: true",
        "rows' gradient set aside": "weight: {kind: constant, lambda: ..., every: 0}",
    }.get(name, "")
