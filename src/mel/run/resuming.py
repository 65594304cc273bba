"""Whether a run that is there may go on, from which checkpoint, and what becomes of those it cannot go on from."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

from mel.config import Recipe, parse_recipe
from mel.prepared import Checkpoint
from mel.record.run_directory import RECIPE, RunDirectory


@dataclass(frozen=True, kw_only=True, slots=True)
class Resumption:
    """Where a run goes on.

    Args:
        checkpoint: the latest that training can go on from; None for a run that starts over.
        passed: later ones, which it cannot go on from.
    """

    checkpoint: Checkpoint | None
    passed: tuple[Checkpoint, ...] = ()

    @property
    def step(self) -> int:
        """Optimizer steps that are done."""
        return self.checkpoint.step if self.checkpoint else 0


def latest(found: Sequence[Checkpoint]) -> Resumption:
    """The latest checkpoint without a problem, and the later ones.

    Raises:
        ValueError: there is none, but one that was whole once: somebody should look before its steps are done again.
    """
    last = max((c for c in found if not c.problem), key=lambda c: c.step, default=None)
    passed = tuple(c for c in found if last is None or c.step > last.step)
    damaged = [c for c in passed if c.is_finished]
    if last is None and damaged:
        raise ValueError(
            f"{damaged[-1].path}: expected a checkpoint to go on from; {damaged[-1].problem}, and no other one is "
            f"whole. Put the file back, or start over with another --output"
        )
    return Resumption(checkpoint=last, passed=passed)


def clear(resumption: Resumption) -> list[str]:
    """Takes the later checkpoints out of the way, which the run writes again; says what happened to each.

    The trainer deletes old checkpoints by their number: one that is left would pass for the newest, and those that are
    whole would be deleted in its stead. One that was never whole is deleted; another keeps its files under a new name.
    """
    goes_on = f"going on from step {resumption.step} instead"
    said: list[str] = []
    for checkpoint in resumption.passed:
        if checkpoint.is_finished:
            aside = _free_name(checkpoint.path)
            checkpoint.path.rename(aside)
            said.append(f"{checkpoint.path}: {checkpoint.problem}; set aside as {aside.name}, {goes_on}")
        else:
            shutil.rmtree(checkpoint.path)
            said.append(f"{checkpoint.path}: {checkpoint.problem}; deleted, {goes_on}")
    return said if resumption.checkpoint else [*said, "there is no checkpoint to go on from: starting over"]


def other_keys(directory: RunDirectory, recipe: Recipe) -> str:
    """What the recipe asks for otherwise than the run that is there: `key: value there, value asked for`, or nothing.

    A key that did not exist when the run was begun counts with its default.

    Raises:
        ValueError: the recipe of the run cannot be read by this version.
    """
    there = parse_recipe(directory.recipe, source=str(directory.path / RECIPE)).resolved()
    changed = list(_changed(there, recipe.resolved()))
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    return "; ".join(changed[:3]) + more


def other_processes(then: object, now: int) -> list[str]:
    """A sentence if as many processes as began a run do not go on with it."""
    if then == now:
        return []
    return [
        f"the run was begun by {then} processes and goes on with {now}: with other random streams and another batch it "
        f"will not end as it would have"
    ]


def _changed(there: Mapping[Any, Any], asked: Mapping[Any, Any], at: str = "") -> Iterator[str]:
    for key in sorted({*there, *asked}, key=str):
        old, new = (
            dict(enumerate(value)) if isinstance(value, list) else value for value in (there.get(key), asked.get(key))
        )
        if isinstance(old, dict) and isinstance(new, dict) and len(old) == len(new):
            yield from _changed(old, new, f"{at}{key}.")
        elif old != new:
            yield f"{at}{key}: {shorten(str(old), 60)} there, {shorten(str(new), 60)} asked for"


def _free_name(path: Path) -> Path:
    name = path.with_name(f"damaged-{path.name}")
    number = 2
    while name.exists():
        name, number = path.with_name(f"damaged-{path.name}-{number}"), number + 1
    return name
