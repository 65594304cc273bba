"""What a checkpoint holds beside the trainer's own state: our counters, running means and generation batch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from transformers.utils import logging

from mel.hosts.trl.buffered import load_batch, save_batch
from mel.hosts.trl.checkpoints import STATE, sizes
from mel.hosts.trl.learner import Learner
from mel.hosts.trl.waiting import load_waiting, save_waiting
from mel.step import RowLearning

logger = logging.get_logger(__name__)

_LOST = {
    "sync_ref_model": "no checkpoint holds the reference model, which begins anew as the untrained one",
    "ignore_data_skip": "the epoch begins anew with its first problems",
}
"""Fields of TRL under which training cannot go on as it was, and why."""


def save(folder: Path, trainer: Any, learner: Learner, learning: Mapping[str, RowLearning]) -> None:
    """Writes our counters and the running mean of every auxiliary's weight, and this rank's part of a batch in use."""
    if not trainer.args.save_only_model:
        save_batch(folder, trainer)
        save_waiting(folder, trainer, learner.gathering)
    if not trainer.args.should_save:
        return
    weights = {name: {"rule": type(one.weight).__name__, **one.weight.state()} for name, one in learning.items()}
    folder.mkdir(parents=True, exist_ok=True)
    counts = {"batches": learner.batches, "micro_steps": trainer._step, "processes": trainer.accelerator.num_processes}
    if learner.rewarder is not None:
        learner.rewarder.save(folder)
    remembered = {name: one.state() for name, one in learner.remembered().items()}
    _write(folder, {**counts, "weights": weights, "auxiliaries": remembered})


def seal(folder: Path) -> None:
    """Adds the sizes of the files that are there, all but the trainer's own state: what is cut later is found out."""
    _write(folder, _read(folder) | {"files": sizes(folder)})


def load(folder: Path, trainer: Any, learner: Learner, learning: Mapping[str, RowLearning]) -> None:
    """Restores them; a checkpoint of a plain GRPOTrainer has none and starts them afresh, with a warning.

    Raises:
        ValueError: other processes than now share the batch that is in use, or this rank's part of it is missing.
    """
    for option, lost in _LOST.items():
        if getattr(trainer.args, option, False):
            logger.warning("%s: %s; the end will be another than that of an undisturbed run", option, lost)
    if not (folder / STATE).is_file():
        logger.warning(
            "%s has no %s: seeds, the weights' running means and a generation batch in use start afresh", folder, STATE
        )
        return
    state = _read(folder)
    learner.batches = state["batches"]
    trainer._step = state.get("micro_steps", 0)
    load_batch(folder, trainer, processes=state.get("processes"))
    load_waiting(folder, trainer, learner.gathering, processes=state.get("processes"))
    if learner.rewarder is not None:
        learner.rewarder.load(folder)
    for name, one in learning.items():
        kept = state.get("weights", {}).get(name, {})
        if kept.get("rule") == type(one.weight).__name__:
            one.weight.restore({key: value for key, value in kept.items() if key != "rule"})
    for name, auxiliary in learner.remembered().items():
        auxiliary.restore(state.get("auxiliaries", {}).get(name, {}))


def pass_epochs(sampler: Iterable[int] | None, count: int) -> None:
    """Has a new sampler draw, and forget, the orders of the epochs that are done.

    TRL's sampler shuffles by a stream of its own, which no checkpoint holds: a resumed run would see every later
    epoch in the order of an earlier one.

    Args:
        sampler: None for a stream of data, which has none.
    """
    for _ in range(count):
        if sampler is not None:
            next(iter(sampler), None)


def _read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / STATE).read_text(encoding="utf-8"))


def _write(folder: Path, state: Mapping[str, Any]) -> None:
    (folder / STATE).write_text(json.dumps(state), encoding="utf-8")
