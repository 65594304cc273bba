"""What a checkpoint holds beside the trainer's own state: our counters and running means."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from transformers.utils import logging

from mel.hosts.trl.learner import Learner
from mel.step import RowLearning

FILE = "mel_state.json"

logger = logging.get_logger(__name__)


def save(directory: str | Path, learner: Learner, learning: Mapping[str, RowLearning]) -> None:
    """Writes the number of generation batches, the running mean of every weight, and what auxiliaries remember."""
    weights = {name: {"rule": type(one.weight).__name__, **one.weight.state()} for name, one in learning.items()}
    path = Path(directory)
    path.mkdir(parents=True, exist_ok=True)
    remembered = {name: one.state() for name, one in learner.remembered().items()}
    state = {"batches": learner.batches, "weights": weights, "auxiliaries": remembered}
    (path / FILE).write_text(json.dumps(state), encoding="utf-8")


def load(directory: str | Path, learner: Learner, learning: Mapping[str, RowLearning]) -> None:
    """Restores them; a checkpoint of a plain GRPOTrainer has none and starts them afresh, with a warning."""
    path = Path(directory) / FILE
    if not path.is_file():
        logger.warning("%s has no %s: seeds and the weights' running means start afresh", directory, FILE)
        return
    state = json.loads(path.read_text(encoding="utf-8"))
    learner.batches = state["batches"]
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
