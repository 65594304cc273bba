"""`mel study`: trains what is missing of a study, then writes its results as Markdown, JSON and a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mel.record.run_directory import RECIPE, RunDirectory
from mel.report.arms import Run, read_run
from mel.report.page import render_study
from mel.report.results_table import comparison_table
from mel.report.study import CellState, Results, results_of
from mel.report.study_text import markdown, values
from mel.run.arms import Arm, check_gpus, train_arms
from mel.run.resuming import other_keys
from mel.run.study.cells import Cell, cells_of
from mel.run.study.files import Study, load_study


def run_study(
    path: Path,
    *,
    output: Path | None = None,
    short: bool = False,
    at_once: int | None = None,
    gpus: Sequence[str] = (),
    changes: Sequence[str] = (),
    train: bool = True,
    console: Console,
) -> Results:
    """The results of the study in that file, with every cell trained that can be.

    Finished cells are not repeated, interrupted ones go on from their last checkpoint, and one that fails is noted
    and does not stop the others.

    Args:
        output: directory of the runs and results; default `runs/studies/<name>`.
        short: the short form that the study file describes.
        at_once: cells trained side by side; None for as many as there are GPUs, or else cores.
        changes: of every cell's recipe, as `--set` takes them.
        train: False writes the results of what there is.

    Raises:
        ValueError: bad input, before anything is trained: every cell's recipe is read first.
    """
    check_gpus(gpus, at_once)
    study = load_study(path)
    study = study.shortened() if short else study
    output = output or Path("runs/studies") / study.name
    cells = cells_of(study, beside=path.parent, changes=tuple(changes))
    arms = [_arm(cell, output) for cell in cells]
    if train:
        output.mkdir(parents=True, exist_ok=True)
        console.print(f"{study.name}: {len(cells)} runs, {sum(arm.is_finished for arm in arms)} of them finished")
        train_arms(arms, console=console, at_once=at_once, gpus=gpus, stop_at_failure=False)
    results = _results(study, cells, arms)
    _write(results, output, console)
    return results


def _arm(cell: Cell, output: Path) -> Arm:
    path = output / cell.name
    try:
        recipe = cell.load()
    except ValueError as error:
        raise ValueError(f"arm {cell.arm}: {error}") from None
    if (path / RECIPE).is_file() and (changed := other_keys(RunDirectory.open(path), recipe)):
        raise ValueError(
            f"{path} holds a run of another recipe ({changed}): it is no cell of this study. Choose another --output, "
            f"or delete it to have it trained again"
        )
    steps = recipe.trainer.get("max_steps")
    return Arm(
        name=cell.name,
        recipe=cell.recipe,
        path=path,
        changes=cell.changes,
        steps=steps if isinstance(steps, int) and steps > 0 else None,
    )


def _results(study: Study, cells: Sequence[Cell], arms: Sequence[Arm]) -> Results:
    states, runs = [], dict[CellState, Run]()
    for cell, arm in zip(cells, arms, strict=True):
        is_begun = (arm.path / RECIPE).is_file()
        directory = RunDirectory.open(arm.path) if is_begun else None
        told = arm.failure.splitlines()[-1] if arm.failure else directory.status.message if directory else ""
        state = CellState(
            arm=cell.arm,
            point=cell.point,
            seed=cell.seed,
            state="failed" if arm.failure else directory.state_now if directory else "missing",
            message=told,
        )
        states.append(state)
        if arm.is_finished:
            runs[state] = read_run(arm.path)
    return results_of(
        name=study.name, question=study.question, order=study.order, target=study.target, cells=states, runs=runs
    )


def _write(results: Results, output: Path, console: Console) -> None:
    output.mkdir(parents=True, exist_ok=True)
    (output / "study.md").write_text(markdown(results), encoding="utf-8")
    (output / "study.json").write_text(values(results), encoding="utf-8")
    for point in results.points:
        if point.label:
            console.print(f"\n{point.label}")
        console.print(comparison_table(point.comparison))
    if results.points:
        page = output / "report.html"
        page.write_text(render_study(results), encoding="utf-8")
        console.print(f"page: {page}")
    console.print(f"results: {output / 'study.md'}, {output / 'study.json'}")
    for cell in results.not_finished:
        console.print(f"{cell.name}: {cell.state}{f': {cell.message}' if cell.message else ''}", markup=False)
