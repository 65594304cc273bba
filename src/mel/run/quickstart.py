"""`mel quickstart`: a study of a few recipes with one seed, then examples of what was learned, tables and the page."""

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
from mel.run.study.cells import cells_of
from mel.run.study.files import Study

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
    arms = [
        Arm(name=cell.arm, recipe=cell.recipe, path=output / cell.name, changes=cell.changes, steps=steps)
        for cell in cells_of(_study(names, steps, seed), beside=Path(), changes=tuple(changes))
    ]
    for arm in arms:
        load_recipe(arm.recipe, arm.changes)
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


def _study(names: Sequence[str], steps: int, seed: int) -> Study:
    # An arm may be a file: it is called as its recipe is.
    arms = {load_recipe(name).name: {"recipe": name} for name in names}
    if len(arms) < len(names):
        raise ValueError(f"quickstart: expected arms with names of their own, got {', '.join(names)}")
    return Study.model_validate(
        {"name": "quickstart", "arms": arms, "seeds": [seed], "set": {"trainer.max_steps": steps}}
    )


def _show(arms: Sequence[Arm], console: Console) -> None:
    for arm in arms:
        with RunDirectory.open(arm.path) as run:
            kept = run.experiences.list(kept=True, limit=-1)
        shown = list({item.problem_id: item for item in kept}.values())[:EXAMPLES]
        if shown:
            console.print(f"\nMeta-experiences that {arm.name} wrote, replayed and kept, {len(shown)} of {kept.total}:")
        for item in shown:
            console.print(experience_panel(arm.path, item.id))
    console.print(results_table([arm.path for arm in arms]))
