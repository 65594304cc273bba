"""Checks before a run begins, of what would fail or hang hours later."""

from __future__ import annotations

import os
from typing import Any

from mel.config import Recipe
from mel.run.evaluation.suites import longest_sequence
from mel.run.wiring import Wiring, num_processes


def refuse_adapter(path: str) -> None:
    """Refuse to start from an adapter: what is made of its base (another adapter, a reference) would lack it."""
    from mel.hosts.load import is_adapter

    if is_adapter(path):
        raise ValueError(
            f"model.path: {path} is a LoRA adapter, and training starts from a whole model: merge it first, "
            f"mel merge {path} --output DIR, and give DIR"
        )


def refuse_evaluating_shards(recipe: Recipe) -> None:
    """Refuse to evaluate sharded weights within the run: the main process would wait for the others forever."""
    section = recipe.evaluation
    if section.suites and (section.after or section.every) and _is_sharded():
        raise ValueError(
            "evaluation: the launcher shards the weights (FSDP or ZeRO-3), and within a run one process evaluates: set "
            "evaluation.after: false and evaluation.every: null, and give `mel eval RUN` afterwards"
        )


def _is_sharded() -> bool:
    """Whether no rank holds the whole policy, as accelerate tells the processes that it launches."""

    def says(name: str, value: str) -> bool:
        return os.environ.get(name, "").lower() == value

    is_zero3 = says("ACCELERATE_USE_DEEPSPEED", "true") and says("ACCELERATE_DEEPSPEED_ZERO_STAGE", "3")
    return num_processes() > 1 and (says("ACCELERATE_USE_FSDP", "true") or is_zero3)


def check_evaluations(wiring: Wiring, model: Any) -> None:
    """Refuse suites of this run whose prompts and responses do not fit the model, before hours are spent."""
    section = wiring.recipe.evaluation
    if section.is_within_run:
        for suite in section.suites:
            longest_sequence(wiring, suite, positions=getattr(model.config, "max_position_embeddings", None))
