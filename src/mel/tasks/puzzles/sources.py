"""From a data set's name and configuration to its items.

reasoning-gym is imported here and nowhere else, and only when one of its data sets is asked for: its import takes
seconds. Its items are functions of the data set's seed and their index; what a few of them draw from the global
generators is put back afterwards.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from mel.naming import did_you_mean, known
from mel.tasks.puzzles.entry import Entry, Source
from mel.tasks.puzzles.modus_ponens import ModusPonens, ModusPonensConfig

OWN = "modus_ponens"

RESERVED = ("seed", "size")
"""Keys of a configuration that the task sets itself."""


def source(name: str, config: Mapping[str, Any], *, seed: int, size: int) -> Source:
    """The data set of that name.

    Args:
        config: of the data set, by its own keys; what is left out is as the data set has it.
        size: items that may be asked for.

    Raises:
        ValueError: an unknown name or key, with the nearest valid one; a value that the data set refuses; or
            reasoning-gym is not installed.
    """
    if name == OWN:
        _check_keys(name, config, [f.name for f in fields(ModusPonensConfig)])
        own = ModusPonensConfig(**config)
        with _refused(name):
            own.validate()
        return ModusPonens(own, seed=seed)
    kinds = _reasoning_gym()
    known(name, [*kinds, OWN], "task puzzles: dataset")
    kind, config_kind = kinds[name]
    _check_keys(name, config, [f.name for f in fields(config_kind) if f.name not in RESERVED])
    with _refused(name), _own_randomness(seed):
        made = config_kind(**config, seed=seed, size=size)
        if hasattr(made, "validate"):  # those of power_function and tsumego check nothing
            made.validate()
        return _GymSource(kind(made), seed)


class _GymSource:
    """A data set of reasoning-gym."""

    def __init__(self, dataset: Any, seed: int) -> None:
        self._dataset, self._seed = dataset, seed

    def entry(self, index: int) -> Entry:
        with _own_randomness(f"{self._seed} {index}"):
            found = self._dataset[index]
        return Entry(question=found["question"], answer=found["answer"] or "", metadata=found["metadata"])

    def score(self, answer: str, entry: Entry) -> float:
        given = {"question": entry.question, "answer": entry.answer, "metadata": entry.metadata}
        with _own_randomness("score"):
            return float(self._dataset.score_answer(answer, given))


def _reasoning_gym() -> Mapping[str, tuple[Any, Any]]:
    """Name -> (class of the data set, class of its configuration)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from reasoning_gym.factory import DATASETS  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            "task puzzles: its data sets need reasoning-gym: pip install -e '.[puzzles]' in the clone of mel"
        ) from error
    # A composite is a mixture of other data sets and has no items of its own.
    return {name: kinds for name, kinds in DATASETS.items() if name != "composite"}


def _check_keys(name: str, config: Mapping[str, Any], keys: list[str]) -> None:
    for key in config:
        if key in RESERVED:
            raise ValueError(
                f"task puzzles: config.{key}: the task sets it; use its options seed, train_size, test_size"
            )
        if key not in keys:
            takes = ", ".join(keys) or "none"
            raise ValueError(
                f"task puzzles: config: unknown key {key!r} of {name}; it takes {takes}{did_you_mean(key, keys)}"
            )


@contextmanager
def _refused(name: str) -> Iterator[None]:
    """What a data set says of its configuration, in one line."""
    try:
        yield
    except (AssertionError, ValueError, TypeError) as error:
        why = " ".join(str(error).split()) or "it gives no reason"
        raise ValueError(f"task puzzles: {name} refuses its config: {why}") from error


@contextmanager
def _own_randomness(seed: int | str) -> Iterator[None]:
    """Python's and numpy's global generators begin at the seed, and are as they were afterwards."""
    import numpy as np

    python, numpy = random.getstate(), np.random.get_state()
    random.seed(f"puzzles {seed}")
    np.random.seed(random.getrandbits(32))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
