"""`mel study`: trains what is missing of a study, then writes its results as Markdown, JSON and a page."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mel.record.metrics_log import replace_file
from mel.record.run_directory import RECIPE, RunDirectory
from mel.report.arms import Run, read_run
from mel.report.cell_states import NOT_BEGUN, CellState, unfinished
from mel.report.page import render_study
from mel.report.results_table import ResultsTable
from mel.report.study import Results, results_of
from mel.report.study_text import markdown, values
from mel.run.arms import Arm, check_gpus, train_arms
from mel.run.resuming import other_keys
from mel.run.study.cells import Cell, cells_of
from mel.run.study.files import Study, load_study
from mel.run.study.reuse import VALUES, FinishedRuns


def run_study(
    path: Path,
    *,
    output: Path | None = None,
    short: bool = False,
    at_once: int | None = None,
    gpus: Sequence[str] = (),
    changes: Sequence[str] = (),
    reuse: Sequence[Path] = (),
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
        reuse: directories whose finished runs stand for the cells of the same recipe and seed, where they lie.
        train: False writes the results of what there is.

    Raises:
        ValueError: bad input, before anything is trained: every cell's recipe is read first.
    """
    check_gpus(gpus, at_once)
    study = load_study(path)
    study = study.shortened() if short else study
    output = output or Path("runs/studies") / study.name
    cells = cells_of(study, beside=path.parent, changes=tuple(changes))
    finished = FinishedRuns.of(reuse)
    arms = [_arm(cell, output, finished) for cell in cells]
    if train:
        output.mkdir(parents=True, exist_ok=True)
        done, elsewhere = sum(arm.is_finished for arm in arms), sum(arm.path.parent != output for arm in arms)
        found = f", {elsewhere} of these in other studies" if elsewhere else ""
        console.print(f"{study.name}: {len(cells)} runs, {done} of them finished{found}")
        train_arms(arms, console=console, at_once=at_once, gpus=gpus, stop_at_failure=False)
    results = _results(study, cells, arms, command=_command(path, short=short, changes=changes))
    _write(results, output, console)
    return results


def _command(path: Path, *, short: bool, changes: Sequence[str]) -> str:
    """What somebody types to get these results, wherever their runs are: without `--output`."""
    here = Path.cwd()
    shown = path.resolve().relative_to(here) if path.resolve().is_relative_to(here) else path
    options = [*(["--short"] if short else []), *(part for change in changes for part in ("--set", change))]
    return shlex.join(["mel", "study", shown.as_posix(), *options])


def _arm(cell: Cell, output: Path, finished: FinishedRuns) -> Arm:
    path = output / cell.name
    try:
        recipe = cell.load()
    except ValueError as error:
        raise ValueError(f"arm {cell.arm}: {error}") from None
    if not (path / RECIPE).is_file():
        path = finished.by(recipe) or path
    elif changed := other_keys(RunDirectory.open(path), recipe):
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


def _results(study: Study, cells: Sequence[Cell], arms: Sequence[Arm], *, command: str) -> Results:
    states, runs = [], dict[CellState, Run]()
    for cell, arm in zip(cells, arms, strict=True):
        state = _state(cell, arm)
        states.append(state)
        if arm.is_finished:
            runs[state] = read_run(arm.path)
    return results_of(
        name=study.name,
        question=study.question,
        order=study.order,
        target=study.target,
        cells=states,
        runs=runs,
        command=command,
    )


def _state(cell: Cell, arm: Arm) -> CellState:
    state, message, step = NOT_BEGUN, "", 0
    if (arm.path / RECIPE).is_file():
        directory = RunDirectory.open(arm.path)
        state, message, step = directory.state_now, directory.status.message, directory.status.step
    if arm.failure:
        state, message = "failed", arm.failure.splitlines()[-1]
    return CellState(
        arm=cell.arm, point=cell.point, seed=cell.seed, state=state, message=message, step=step, steps=arm.steps
    )


def _write(results: Results, output: Path, console: Console) -> None:
    output.mkdir(parents=True, exist_ok=True)
    texts = {"study.md": markdown(results), VALUES: values(results)}
    if results.points:
        texts["report.html"] = render_study(results)
    for name, text in texts.items():
        replace_file(output / name, text, doing="writing the results of a study")
    for point in results.points:
        if point.label:
            console.print(f"\n{point.label}", markup=False)
        console.print(ResultsTable(comparison=point.comparison))
    # A path that is cut in two cannot be copied.
    console.print(f"results: {', '.join(str(output / name) for name in texts)}", markup=False, soft_wrap=True)
    for of_state in unfinished(results.cells):
        console.print(of_state.heading(results.command), markup=False, soft_wrap=True)
        for cell in of_state.cells:
            console.print(f"  {cell}", markup=False, soft_wrap=True)
