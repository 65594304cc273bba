"""What every rank keeps in a checkpoint for itself alone: a file of its own, for as many ranks as wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def save_own(folder: Path, trainer: Any, name: str, value: Any) -> None:
    """Writes this rank's value to `mel_<name>_<rank>.pt` in the checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(value, _file(folder, trainer, name))


def own_file(folder: Path, trainer: Any, name: str, *, processes: int | None, why: str, advice: str) -> Path:
    """The file that this rank wrote, where as many ranks as now wrote theirs.

    Args:
        processes: how many wrote the checkpoint; None if it does not say.
        why: what makes the file necessary.
        advice: how the run can go on.

    Raises:
        ValueError: they were not as many as now, or this rank's file is missing.
    """
    file, now = _file(folder, trainer, name), trainer.accelerator.num_processes
    if processes != now or not file.is_file():
        raise ValueError(
            f"{folder}: expected {file.name} of {now} processes, for {why}; it was written by "
            f"{processes or 'unknown'}. {advice}"
        )
    return file


def _file(folder: Path, trainer: Any, name: str) -> Path:
    return folder / f"mel_{name}_{trainer.accelerator.process_index}.pt"
