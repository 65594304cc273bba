"""Groups and rows that wait for a later generation batch, kept in a checkpoint: each rank's in a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mel.hosts.trl.rank_files import own_file, save_own
from mel.step import Gathering
from mel.types import Group, Problem, Reference, Rollout, Row, Verdict

_VALUES = [Group, Problem, Reference, Rollout, Row, Verdict, range]
"""All that is read back; a file with anything else in it is refused."""


def save_waiting(folder: Path, trainer: Any, gathering: Gathering) -> None:
    """Writes what waits on this rank, if any auxiliary gathers."""
    if gathering.waiting:
        save_own(folder, trainer, "waiting", gathering.waiting)


def load_waiting(folder: Path, trainer: Any, gathering: Gathering, *, processes: int | None) -> None:
    """Puts it back.

    Args:
        processes: how many wrote the checkpoint.

    Raises:
        ValueError: they were not as many as now, or this rank's file is missing.
    """
    if not gathering.waiting:
        return
    file = own_file(
        folder,
        trainer,
        "waiting",
        processes=processes,
        why="an auxiliary gathers batches",
        advice="Resume with as many processes and the same auxiliaries",
    )
    with torch.serialization.safe_globals(_VALUES):
        gathering.waiting |= torch.load(file, weights_only=True)
