"""Bytes that stay from step to step: weights, gradients, optimizer states, and what sharding leaves of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mel.config import Recipe
from mel.plan.beside import beside
from mel.plan.layout import Layout
from mel.plan.numbers import Numbers, numbers
from mel.plan.shapes import ModelShape, shape_of

OPTIMIZERS = {
    "adamw_torch": 2.0,
    "adamw_torch_fused": 2.0,
    "sgd": 0.0,
    "adamw_bnb_8bit": 0.5,
    "adamw_8bit": 0.5,
    "paged_adamw_8bit": 0.5,
}
"""`optim` -> bytes of state per byte of a float32 master weight."""

_BLOCK_OVERHEAD = 2 * 4 / 256
"""8-bit states carry one float32 scale per 256 elements and state."""

ZERO3_SUB_GROUP = 1_000_000_000
"""Elements that ZeRO-3 updates at a time (DeepSpeed's default `sub_group_size`)."""

ZERO_BUCKET = 500_000_000
"""Elements of DeepSpeed's reduce and gather buckets (its default)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class States:
    """Bytes per process.

    Args:
        unsharded: gradients that FSDP2 keeps whole while it does not reduce them.
        set_aside: the rows' gradients, one for each auxiliary, held apart while a lambda is measured or gradients are
            compared; for the latter also the policy's.
        initial: the weights of the policy as it was before training.
        buffers: communication buckets and parameters gathered for a moment.
        host: per node, in the host's memory.
    """

    parameters: float
    gradients: float
    optimizer: float
    unsharded: float
    set_aside: float
    buffers: float
    host: float
    initial: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """How many parameters there are, how many of them are trained, and in how many bytes these are kept."""

    total: int
    trained: int
    master: int

    @property
    def frozen(self) -> int:
        return self.total - self.trained


def trained(shape: ModelShape, lora: Mapping[str, Any] | None, n: Numbers) -> Trained:
    """All parameters, or adapters alone; peft keeps adapters of bfloat16 weights in float32."""
    if lora is None:
        return Trained(total=shape.parameters, trained=shape.parameters, master=n.master)
    adapters = shape.lora_parameters(lora)
    return Trained(total=shape.parameters + adapters, trained=adapters, master=4)


def optimizer_bytes(optim: str, count: int, *, master: int, embedding: int = 0) -> float:
    """State of that optimizer for `count` parameters; two moments for AdamW, each as wide as the weight.

    Args:
        embedding: how many of them are embeddings, which 8-bit optimizers keep in float32.

    Raises:
        ValueError: an optimizer whose state this package does not know.
    """
    if optim not in OPTIMIZERS:
        raise ValueError(f"trainer.optim: a plan knows {', '.join(OPTIMIZERS)}; got {optim!r}")
    factor = OPTIMIZERS[optim]
    if factor != 0.5:
        return factor * master * count
    return (count - embedding) * (2 + _BLOCK_OVERHEAD) + 8 * embedding


def states(recipe: Recipe, shape: ModelShape, layout: Layout, n: Numbers) -> States:
    """Bytes per process of everything that does not depend on sequence lengths."""
    of = trained(shape, recipe.model.lora, n)
    embedding = 0 if recipe.model.lora else shape.head_parameters
    optim = str(recipe.trainer.get("optim", "adamw_torch_fused"))
    moments = optimizer_bytes(optim, of.trained, master=of.master, embedding=embedding)
    if layout.is_deepspeed:
        return _deepspeed(shape, layout, n, of, moments)
    if layout.strategy == "fsdp2":
        return _fsdp2(recipe, shape, layout, n, of, moments)
    gradients = of.master * of.trained
    parameters = n.model * of.frozen + of.master * of.trained
    return States(
        parameters=parameters,
        gradients=gradients,
        optimizer=moments,
        unsharded=0.0,
        set_aside=_set_aside(recipe, gradients),
        # DDP reduces through buckets as large as the gradients.
        buffers=gradients if layout.strategy == "ddp" else 0.0,
        host=0.0,
        initial=parameters if copies_initial(recipe) else 0.0,
    )


def measures_gradients(recipe: Recipe) -> bool:
    """Whether norms are measured, for a lambda or to be logged."""
    return _measures_weight(recipe) or recipe.diagnostics.compares_gradients_every > 0


def copies_initial(recipe: Recipe) -> bool:
    """Whether the trainer keeps all weights of the untrained policy, for a diagnosis or to sample from; those of an
    adapter are not worth counting, and with `beta` above 0 a diagnosis asks TRL's own reference."""
    if recipe.model.lora is not None:
        return False
    has_reference = float(recipe.trainer.get("beta", 0.0)) > 0
    return recipe.carrier.settings.samples_initial or (recipe.diagnostics.needs_initial_policy and not has_reference)


def _measures_weight(recipe: Recipe) -> bool:
    return any(a.weight.measured_every > 0 for a in recipe.auxiliaries)


def _set_aside(recipe: Recipe, gradients: float) -> float:
    """Where one auxiliary is measured, all are held apart: another's rows would pass for the policy's gradient.

    What is only compared is learned as if it were not, so that the policy's gradient has to be made out of the sum.
    """
    count = len(recipe.auxiliaries) if measures_gradients(recipe) else 0
    is_extra = recipe.diagnostics.compares_gradients_every > 0 and not all(
        a.weight.measured_every == 1 for a in recipe.auxiliaries
    )
    return gradients * (count + is_extra)


def least_bytes(recipe: Recipe, model_path: str, *, processes: int) -> float | None:
    """What one GPU holds at least if nothing is sharded: weights, gradients, optimizer states, and other models.

    None where no GPU trains, for a model or an optimizer whose sizes are not known, and for one that pages its states.
    """
    layout = Layout(strategy="single" if processes == 1 else "ddp", processes=processes)
    if recipe.trainer.get("use_cpu", False) or str(recipe.trainer.get("optim", "")).startswith("paged"):
        return None
    try:
        shape = shape_of(model_path)
        held = states(recipe, shape, layout, numbers(recipe, layout))
        models = beside(recipe, shape, layout)
    except ValueError:
        # What a plan cannot read it has no ground to refuse.
        return None
    return held.parameters + held.gradients + held.optimizer + sum(models.values())


def syncs_each_batch(recipe: Recipe) -> bool:
    """Gradients are reduced after every micro-step instead of once per optimizer step."""
    config = recipe.trainer.get("accelerator_config") or {}
    kwargs = config.get("gradient_accumulation_kwargs") or {} if isinstance(config, Mapping) else {}
    return bool(kwargs.get("sync_each_batch", False))


def _deepspeed(shape: ModelShape, layout: Layout, n: Numbers, of: Trained, moments: float) -> States:
    p = layout.processes
    parameters = n.model * of.total / (p if layout.shards_parameters else 1)
    kept = n.model * of.trained / (p if layout.shards_gradients else 1)
    share = of.trained / p
    at_step = 4 * (min(share, ZERO3_SUB_GROUP) if layout.strategy == "zero3" else share)
    masters = 4 * share
    local = moments / p + masters
    gathered = n.model * (2 * shape.layer_parameters + 2 * shape.head_parameters) if layout.shards_parameters else 0
    buckets = 2 * n.model * min(ZERO_BUCKET, of.trained)
    off = layout.offloads_optimizer
    per_node = p / layout.nodes
    host = per_node * (local + at_step) if off else 0.0
    if layout.offloads_parameters:
        host += per_node * parameters
        parameters = 0.0
    return States(
        parameters=parameters,
        gradients=kept + (0.0 if off else at_step),
        optimizer=0.0 if off else local,
        unsharded=0.0,
        set_aside=0.0,
        buffers=buckets + gathered,
        host=host,
    )


def _fsdp2(recipe: Recipe, shape: ModelShape, layout: Layout, n: Numbers, of: Trained, moments: float) -> States:
    p = layout.processes
    parameters = (of.master * of.trained + n.model * of.frozen) / p
    gradients = of.master * of.trained / p
    several = int(recipe.trainer.get("gradient_accumulation_steps", 1)) > 1
    # Rows that go before the policy are not reduced before it either.
    several |= any(a.backward == "separate" for a in recipe.auxiliaries) or measures_gradients(recipe)
    holds_whole = several and not syncs_each_batch(recipe)
    gathered = 2 * shape.layer_parameters + shape.head_parameters * (1 if shape.is_tied else 2)
    if not layout.frees_after_forward:
        gathered = shape.parameters
    reduced = (n.model + 4) * min(shape.layer_parameters, of.trained)
    host = 0.0
    if layout.offloads_parameters:
        host = (parameters + gradients + moments / p) * p / layout.nodes
        parameters = gradients = moments = 0.0
    return States(
        parameters=parameters,
        gradients=gradients,
        optimizer=moments / p,
        unsharded=n.model * of.trained if holds_whole else 0.0,
        set_aside=_set_aside(recipe, gradients),
        buffers=n.model * gathered + reduced,
        host=host,
    )
