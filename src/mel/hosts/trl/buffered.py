"""The generation batch that optimizer steps are still to use, kept in a checkpoint that lies inside it.

TRL keeps neither the batch nor how far it is used: a resumed run would sample the rest of its problems anew, at
shifted boundaries from then on.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from mel.hosts.trl.rank_files import own_file, save_own
from mel.objective.rows import RowBatch

ROWS = "mel_rows"
"""Key under which a micro-step's inputs carry their rows."""


def save_batch(folder: Path, trainer: Any) -> None:
    """Writes this rank's share of the batch, where one is in use."""
    if _is_in_use(trainer):
        save_own(folder, trainer, "batch", [_plain(slot) for slot in trainer._buffered_inputs])


def load_batch(folder: Path, trainer: Any, *, processes: int | None) -> None:
    """Puts the batch back; `trainer._step` must be restored already.

    Args:
        processes: how many wrote the checkpoint.

    Raises:
        ValueError: it lies inside a batch that as many processes as now do not share, or whose file is missing.
    """
    if not _is_in_use(trainer, is_loaded=True):
        return
    file = own_file(
        folder,
        trainer,
        "batch",
        processes=processes,
        why="the checkpoint lies inside a generation batch",
        advice="Resume with as many processes, or from another checkpoint",
    )
    device = trainer.accelerator.device
    # A CPU has a number under several ranks, "cpu:0", which torch cannot restore to.
    slots = torch.load(file, map_location="cpu" if device.type == "cpu" else device, weights_only=True)
    trainer._buffered_inputs = [_with_rows(slot) for slot in slots]


def _is_in_use(trainer: Any, *, is_loaded: bool = False) -> bool:
    lasts = (trainer.args.steps_per_generation or 1) * trainer.num_iterations
    return trainer._step % lasts != 0 and (is_loaded or trainer._buffered_inputs is not None)


def _plain(slot: dict[str, Any]) -> dict[str, Any]:
    """The inputs of a micro-step with their rows as dictionaries, which are read without running code."""
    if ROWS not in slot:
        return slot
    return slot | {ROWS: {key: _values(batch) for key, batch in slot[ROWS].items()}}


def _values(batch: RowBatch) -> dict[str, Any]:
    return {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}


def _with_rows(slot: dict[str, Any]) -> dict[str, Any]:
    if ROWS not in slot:
        return slot
    return slot | {ROWS: {key: RowBatch(**values) for key, values in slot[ROWS].items()}}
