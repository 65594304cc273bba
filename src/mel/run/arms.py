"""Arms: recipes with seeds, trained as one-thread processes, as many at once as there are cores."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from mel.launch import bound_to_this_process
from mel.record.run_directory import RECIPE, RunDirectory

POLL_S = 0.5


@dataclass(kw_only=True, slots=True)
class Arm:
    """One run to be trained, its process, and what has been read of its metrics.

    Args:
        name: as it is shown.
        recipe: its name, or its file.
        path: the run directory; the log lies beside it.
        changes: of the recipe, as `--set` takes them.
        steps: optimizer steps of the run, for the bar; None if nobody said.
        gpu: the only one that the process sees; None for all of them.
        failure: how the process ended and the end of its log, if it ended with an error.
    """

    name: str
    recipe: str
    path: Path
    changes: tuple[str, ...] = ()
    steps: int | None = None
    gpu: str | None = None
    failure: str = ""
    process: subprocess.Popen[bytes] | None = None
    step: int = 0
    shown: int = 0

    @property
    def log(self) -> Path:
        """What the process printed."""
        return self.path.parent / f"{self.path.name}.log"

    @property
    def logged(self) -> list[dict[str, Any]]:
        """Its metrics so far."""
        # The recipe is written last: a directory without it is not a run yet.
        return RunDirectory.open(self.path).metrics.read() if (self.path / RECIPE).is_file() else []

    @property
    def is_finished(self) -> bool:
        """Whether the run at its path has ended well."""
        return (self.path / RECIPE).is_file() and RunDirectory.open(self.path).status.state == "finished"


def check_gpus(gpus: Sequence[str], at_once: int | None) -> None:
    """Refuse what names no GPU, and more runs than GPUs: the surplus would see all of them.

    Args:
        gpus: numbers, or identifiers as CUDA_VISIBLE_DEVICES takes them (`GPU-...`, `MIG-...`).

    Raises:
        ValueError: with what was given.
    """
    given = ",".join(gpus)
    if not all(gpu.isdecimal() or gpu.startswith(("GPU-", "MIG-")) for gpu in gpus) or len(set(gpus)) < len(gpus):
        raise ValueError(f"--gpus: expected different numbers of GPUs, such as 0,1,2; got {given!r}")
    if gpus and at_once is not None and at_once > len(gpus):
        raise ValueError(
            f"--at-once {at_once}: expected at most one run on each GPU of --gpus {given}; leave --at-once out"
        )


def train_arms(
    arms: Sequence[Arm],
    *,
    console: Console,
    at_once: int | None = None,
    gpus: Sequence[str] = (),
    stop_at_failure: bool = True,
) -> None:
    """Train every arm that is not finished; one that was interrupted goes on from its last checkpoint.

    Args:
        at_once: processes side by side; None for as many as there are GPUs in `gpus`, or else cores.
        gpus: numbers of the GPUs to use, one for each process.
        stop_at_failure: end the others when one ends with an error; otherwise it is noted in `Arm.failure`.

    Raises:
        RuntimeError: an arm ended with an error; its log is named. The others are ended too.
    """
    waiting, running = [arm for arm in arms if not arm.is_finished], list[Arm]()
    at_once = max(1, min(len(waiting), at_once or len(gpus) or os.cpu_count() or 1))
    started, total = time.monotonic(), len(waiting)
    with ExitStack() as stack:
        progress = stack.enter_context(_progress(console)) if console.is_terminal else None
        bars = {a.name: progress.add_task(a.name, total=a.steps, note="waiting") for a in waiting} if progress else {}
        stack.callback(lambda: [_kill(arm) for arm in running])
        while waiting or running:
            while waiting and len(running) < at_once:
                arm = waiting.pop(0)
                arm.gpu = next((gpu for gpu in gpus if gpu not in [other.gpu for other in running]), None)
                arm.process = _start(arm)
                running.append(arm)
            for arm in list(running):
                _advance(arm, console, progress, bars.get(arm.name))
                if arm.process is not None and arm.process.poll() is not None:
                    running.remove(arm)
                    _end(arm, stop_at_failure=stop_at_failure)
                    if len(arms) > at_once:
                        done = total - len(waiting) - len(running)
                        console.print(_line(arm, done=done, of=total, seconds=time.monotonic() - started))
            time.sleep(POLL_S)


def _line(ended: Arm, *, done: int, of: int, seconds: float) -> str:
    """What to tell a person when that arm has ended, if the runs that are left take as long as those done."""
    how = "failed" if ended.failure else "done"
    left = f", about {seconds / done * (of - done) / 60:.0f} min left" if done < of else ""
    return f"{ended.name} {how}: {done}/{of} runs{left}"


def _start(arm: Arm) -> subprocess.Popen[bytes]:
    RunDirectory.remove_half_made(arm.path)
    command = [sys.executable, "-m", "mel", "train", arm.recipe, "--output", str(arm.path)]
    command += [part for change in arm.changes for part in ("--set", change)]
    command += ["--resume"] if (arm.path / RECIPE).is_file() else []
    # Two OpenMP threads beside another busy process are up to 80 times slower than one thread each.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    environment |= {"CUDA_VISIBLE_DEVICES": arm.gpu} if arm.gpu is not None else {}
    environment |= bound_to_this_process()
    with arm.log.open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)


def _kill(arm: Arm) -> None:
    if arm.process is not None:
        arm.process.kill()
        arm.process.wait()


def _advance(arm: Arm, console: Console, progress: Progress | None, bar: TaskID | None) -> None:
    rows = arm.logged
    if not rows or rows[-1]["step"] == arm.step:
        return
    arm.step = int(rows[-1]["step"])
    recent = [row["reward/mean"] for row in rows[-5:] if "reward/mean" in row]
    note = f"reward {sum(recent) / len(recent):.2f}" if recent else ""
    if progress is not None and bar is not None:
        progress.update(bar, completed=arm.step, note=note)
    elif arm.step // 10 > arm.shown // 10 or arm.step == arm.steps:
        console.print(f"{arm.name}: step {arm.step}{f'/{arm.steps}' if arm.steps else ''}  {note}")
        arm.shown = arm.step


def _end(arm: Arm, *, stop_at_failure: bool) -> None:
    if arm.process is None or arm.process.returncode == 0:
        return
    tail = "\n".join(arm.log.read_text(errors="replace").splitlines()[-8:])
    arm.failure = f"ended with code {arm.process.returncode}; its log {arm.log} ends:\n{tail}"
    if stop_at_failure:
        raise RuntimeError(f"the arm {arm.name} {arm.failure}")


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description:>12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
    )
    return Progress(*columns, TimeElapsedColumn(), console=console)
