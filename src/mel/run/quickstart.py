"""`mel quickstart`: the arms side by side, then examples, tables and the page."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mel.config import load_recipe
from mel.record.run_directory import RunDirectory
from mel.report.page import build
from mel.report.results_table import results_table
from mel.report.terminal import experience_panel
from mel.run.arms import Arm, train_arms

EXAMPLES = 3
"""Experiences shown per arm, of different problems."""


def quickstart(
    names: Sequence[str], *, output: Path, steps: int, seed: int, console: Console, changes: Sequence[str] = ()
) -> Path:
    """Train each recipe, as many at once as there are cores, and return the report page.

    Raises:
        ValueError: an unknown recipe, or an output directory that holds runs already.
        RuntimeError: an arm ended with an error; its log is named.
    """
    changes = [f"trainer.max_steps={steps}", f"trainer.seed={seed}", *changes]
    # An arm may be a file: its directory is called as the recipe is, and lies where all of them lie.
    loaded = {load_recipe(name, changes).name: name for name in names}
    if len(loaded) < len(names):
        raise ValueError(f"quickstart: expected arms with names of their own, got {', '.join(names)}")
    arms = [
        Arm(name=name, recipe=given, path=output / f"{name}-s{seed}", changes=tuple(changes), steps=steps)
        for name, given in loaded.items()
    ]
    taken = [str(arm.path) for arm in arms if arm.path.exists()]
    if taken:
        raise ValueError(f"quickstart: {', '.join(taken)} exists already; remove it or choose another --output")
    output.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    train_arms(arms, console=console)
    _show(arms, console)
    page = build([arm.path for arm in arms], output / "report.html")
    console.print(f"\n{(time.monotonic() - started) / 60:.1f} minutes. Curves, ledger and all experiences: {page}")
    return page


def _show(arms: Sequence[Arm], console: Console) -> None:
    for arm in arms:
        kept = RunDirectory.open(arm.path).experiences.list(kept=True, limit=-1)
        shown = list({item.problem_id: item for item in kept}.values())[:EXAMPLES]
        if shown:
            console.print(f"\nMeta-experiences that {arm.name} wrote, replayed and kept, {len(shown)} of {kept.total}:")
        for item in shown:
            console.print(experience_panel(arm.path, item.id))
    console.print(results_table([arm.path for arm in arms]))
