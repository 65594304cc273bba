"""Everything that a run can measure of itself, on two ranks whose groups and rows differ and on one.

Part of what `two_ranks` runs; `test_trl_ranks` compares what is saved here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tiny
import torch
import whole_table
from alike import fixed_completions, rewards_by_place, rows_of, still, word_by_word
from peft import LoraConfig

from mel.methods.diagnostics.settings import Measure
from mel.objective.weight import Constant
from mel.step import RowLearning
from mel.types import Problem

EVERYTHING: tuple[Measure, ...] = ("gradients", "initial_kl", "localization", "recovery", "hint_reliance")
CASES: dict[str, tuple[Sequence[Measure], Any]] = {
    "nothing": ((), None),
    "everything": (EVERYTHING, None),
    "adapter": (EVERYTHING, LoraConfig(r=2, lora_alpha=64, target_modules=["q_proj", "v_proj"])),
}
"""Measures, and the adapter that is trained."""


class EvenLengthIsLate:
    """Where a wrong solution goes wrong: at its second word if it has an even number of words, else at its first."""

    def first_error(self, problem: Problem, response: str) -> int | None:
        return 2 - len(response.split()) % 2 if response else None

    def is_true_rule(self, problem: Problem, heuristic: str) -> bool | None:
        return None


def train_each(folder: Path, rank: int, world: int) -> None:
    """Two steps of every case by plain gradient descent, which keeps the rounding of gradients small."""
    for name, (measures, adapter) in CASES.items():
        auxiliary = tiny.RowsFrom(lambda call: _rows(rank, world), prompts=lambda call: 1 + rank)
        method = tiny.measured_method(
            auxiliary,
            measures,
            every=1,
            steps=word_by_word,
            rollout_max_tokens=6,
            inspector=EvenLengthIsLate(),
        )
        args = still(folder, world, 1, **{"learning_rate": 0.1, "optim": "sgd", "max_steps": 2})
        recorder = tiny.StepGradients()
        trainer = tiny.trainer(
            tiny.MELTrainer,
            args,
            method=method,
            learning={auxiliary.name: RowLearning(weight=Constant(0.7))},
            callbacks=[recorder],
            rollout_func=fixed_completions,
            reward_funcs=rewards_by_place,
            peft_config=adapter,
        )
        with whole_table.counted() as calls:
            trainer.train()
        log = [line for line in trainer.state.log_history if "rows/real" in line]
        found = {"steps": recorder.steps, "log": log, "calls": calls}
        torch.save(found, folder / f"measured-{name}-rank{rank}.pt")


def _rows(rank: int, world: int) -> list[Any]:
    """Three of the first rank and one of the second."""
    parts = [rows_of(each, (3, 1)) for each in range(2)]
    return parts[rank] if world == 2 else [row for part in parts for row in part]
