"""`mel quickstart`: the arms as parallel one-thread processes, live progress, then tables and the page."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from mel.config import load_recipe
from mel.record.run_directory import METRICS, RunDirectory
from mel.report.page import build
from mel.report.results_table import results_table
from mel.report.terminal import experience_panel

POLL_S = 0.5
EXAMPLES = 3
"""Experiences shown per arm, of different problems."""


@dataclass(kw_only=True, slots=True)
class Arm:
    """One training process and what has been read of its metrics."""

    name: str
    path: Path
    process: subprocess.Popen[bytes] | None = None
    step: int = 0
    shown: int = 0


def quickstart(
    names: Sequence[str], *, output: Path, steps: int, seed: int, console: Console, changes: Sequence[str] = ()
) -> Path:
    """Train each recipe, as many at once as there are cores, and return the report page.

    Raises:
        ValueError: an unknown recipe, or an output directory that holds runs already.
        RuntimeError: an arm ended with an error; its log is named.
    """
    changes = [f"trainer.max_steps={steps}", f"trainer.seed={seed}", *changes]
    for name in names:
        load_recipe(name, changes)
    arms = [Arm(name=name, path=output / f"{name}-s{seed}") for name in names]
    taken = [str(arm.path) for arm in arms if arm.path.exists()]
    if taken:
        raise ValueError(f"quickstart: {', '.join(taken)} exists already; remove it or choose another --output")
    output.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    _run_all(arms, steps=steps, changes=changes, console=console)
    _show(arms, console)
    page = build([arm.path for arm in arms], output / "report.html")
    console.print(f"\n{(time.monotonic() - started) / 60:.1f} minutes. Curves, ledger and all experiences: {page}")
    return page


def _run_all(arms: Sequence[Arm], *, steps: int, changes: Sequence[str], console: Console) -> None:
    at_once = max(1, min(len(arms), os.cpu_count() or 1))
    waiting, running = list(arms), list[Arm]()
    with ExitStack() as stack:
        progress = stack.enter_context(_progress(console)) if console.is_terminal else None
        bars = {arm.name: progress.add_task(arm.name, total=steps, note="starting") for arm in arms} if progress else {}
        stack.callback(lambda: [arm.process.kill() for arm in running if arm.process and arm.process.poll() is None])
        while waiting or running:
            while waiting and len(running) < at_once:
                arm = waiting.pop(0)
                arm.process = _start(arm, changes)
                running.append(arm)
            for arm in list(running):
                _advance(arm, steps, console, progress, bars.get(arm.name))
                if arm.process is not None and arm.process.poll() is not None:
                    _check(arm)
                    running.remove(arm)
            time.sleep(POLL_S)


def _start(arm: Arm, changes: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mel", "train", arm.name, "--output", str(arm.path)]
    command += [part for change in changes for part in ("--set", change)]
    # Two OpenMP threads beside another busy process are up to 80 times slower than one thread each.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    with _log(arm).open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)


def _advance(arm: Arm, steps: int, console: Console, progress: Progress | None, bar: TaskID | None) -> None:
    rows = RunDirectory.open(arm.path).metrics.read() if (arm.path / METRICS).exists() else []
    if not rows or rows[-1]["step"] == arm.step:
        return
    arm.step = int(rows[-1]["step"])
    recent = [row["reward/mean"] for row in rows[-5:] if "reward/mean" in row]
    note = f"reward {sum(recent) / len(recent):.2f}" if recent else ""
    if progress is not None and bar is not None:
        progress.update(bar, completed=arm.step, note=note)
    elif arm.step // 10 > arm.shown // 10 or arm.step == steps:
        console.print(f"{arm.name}: step {arm.step}/{steps}  {note}")
        arm.shown = arm.step


def _check(arm: Arm) -> None:
    if arm.process is not None and arm.process.returncode != 0:
        tail = "\n".join(_log(arm).read_text(errors="replace").splitlines()[-8:])
        raise RuntimeError(
            f"the arm {arm.name} ended with code {arm.process.returncode}; its log {_log(arm)} ends:\n{tail}"
        )


def _show(arms: Sequence[Arm], console: Console) -> None:
    for arm in arms:
        kept = RunDirectory.open(arm.path).experiences.list(kept=True, limit=-1)
        shown = list({item.problem_id: item for item in kept}.values())[:EXAMPLES]
        if shown:
            console.print(f"\nMeta-experiences that {arm.name} wrote, replayed and kept, {len(shown)} of {kept.total}:")
        for item in shown:
            console.print(experience_panel(arm.path, item.id))
    console.print(results_table([arm.path for arm in arms]))


def _log(arm: Arm) -> Path:
    return arm.path.parent / f"{arm.path.name}.log"


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description:>12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
    )
    return Progress(*columns, TimeElapsedColumn(), console=console)
