"""Precisions of a run: bytes of weights, of the residual stream and of what linear maps see."""

from __future__ import annotations

from dataclasses import dataclass

from mel.config import Recipe
from mel.plan.layout import Layout

GIB = 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbers:
    """Bytes per element.

    Args:
        master: of the weights the optimizer changes.
        model: of the weights the forward pass reads where no copy is cast for it.
        residual: of the stream between layers, which gradient checkpointing keeps.
        compute: of what goes into and comes out of linear maps and attention.
        casts_weights: autocast makes a `compute` copy of every linear map during a forward pass.
    """

    master: int
    model: int
    residual: int
    compute: int
    casts_weights: bool


def is_bf16(recipe: Recipe) -> bool:
    """Mixed precision is on: GRPOConfig's default unless fp16 or the CPU is asked for."""
    trainer = recipe.trainer
    default = not (trainer.get("fp16", False) or trainer.get("use_cpu", False))
    value = trainer.get("bf16")
    return default if value is None else bool(value)


def numbers(recipe: Recipe, layout: Layout) -> Numbers:
    """The precisions of that recipe under that layout.

    DeepSpeed and FSDP2 keep float32 masters beside bfloat16 working weights. One process and DDP train the
    weights as they are: float32 ones under autocast, bfloat16 ones without any master.
    """
    loaded = 4 if recipe.model.dtype == "float32" else 2
    mixed = is_bf16(recipe)
    if layout.is_deepspeed or layout.strategy == "fsdp2":
        working = 2 if mixed else loaded
        return Numbers(master=4, model=working, residual=working, compute=working, casts_weights=False)
    compute = 2 if mixed else loaded
    return Numbers(master=loaded, model=loaded, residual=loaded, compute=compute, casts_weights=compute < loaded)
