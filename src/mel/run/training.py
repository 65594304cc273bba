"""`mel train`: one recipe from its first step to its last evaluation, in one run directory."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from mel.config import Recipe
from mel.launch import is_main, num_processes
from mel.methods import Method
from mel.ports import StepProgress
from mel.prepared import Checkpoint, Host, Log, Prepared, RefusedError
from mel.record.lock import only_writer
from mel.record.run_directory import AFTER, RECIPE, RunDirectory, State
from mel.report.terminal import evaluation_table
from mel.run.evaluation.within_training import Evaluator
from mel.run.prepare import build_method, environment, host_of, prepare
from mel.run.recorder import Recorder
from mel.run.resuming import Resumption, clear, latest, other_keys, other_processes


def train(recipe: Recipe, *, output: Path | None = None, resume: bool = False, console: Console | None = None) -> Path:
    """Run a recipe to its end and return its run directory.

    Args:
        output: the run directory; default `runs/<recipe>-s<seed>`.
        resume: continue from the last checkpoint; what was recorded after it is forgotten and done again.

    Raises:
        ValueError: bad input, before anything is trained.
        RunBusyError: another process still writes the run that is to be resumed.
    """
    console = console if console is not None and is_main() else Console(quiet=True)
    path = output or Path(recipe.output.path or f"runs/{recipe.name}-s{recipe.seed}")
    with ExitStack() as held:
        _check_output(path, recipe, resume=resume, held=held)
        prepared = prepare(recipe, path)
        host, method = host_of(recipe), build_method(prepared)
        total = host.total_steps(prepared)
        resumption = latest(host.checkpoints(path, total=total)) if resume else Resumption(checkpoint=None)
        policy = host.load(prepared)
        directory = _open(path, prepared, resumption, resume=resume, held=held, console=console)
        held.enter_context(directory)
        try:
            state, step = _train(
                prepared, host, method, policy, directory, resumption.checkpoint, total=total, console=console
            )
        except BaseException as error:
            if is_main():
                ended = "stopped" if isinstance(error, KeyboardInterrupt | SystemExit) else "failed"
                directory.set_status(ended, message=f"{type(error).__name__}: {error}")
                if isinstance(error, RefusedError) and not resume:
                    # What it leaves would only be in the way of the next start.
                    directory.remove_if_blank()
            raise
        if is_main():
            directory.set_status(state, step=step)
    host.leave()
    console.print(f"run directory: {path} (mel report {path})", soft_wrap=True, highlight=False)
    return path


def _train(
    prepared: Prepared,
    host: Host,
    method: Method,
    policy: Any,
    directory: RunDirectory,
    checkpoint: Checkpoint | None,
    *,
    total: int,
    console: Console,
) -> tuple[State, int]:
    """Train and evaluate; returns how it ended and after how many optimizer steps."""
    evaluator = Evaluator(prepared, directory, console=console)
    if checkpoint is None and prepared.evaluation.before and is_main():
        with host.answering(prepared, policy) as model:
            evaluator.all_suites("before", model)
    _go_on(directory, checkpoint, total=total, console=console)
    with Recorder(
        directory,
        prepared.task,
        total_steps=total,
        console=console,
        keeps_rollouts=prepared.recipe.output.rollouts and is_main(),
    ) as recorder:

        def between(step: int, model: Any, log: Log) -> None:
            if evaluator.is_due(step):
                recorder.on_progress(StepProgress(step=step, phase="evaluation"))
                log(evaluator.greedy(model))

        fitted = host.fit(
            prepared,
            method,
            recorder,
            policy=policy,
            checkpoint=checkpoint,
            between=between,
            save_to=directory.path / "model" if prepared.recipe.output.save_final else None,
        )
    if fitted.is_stopped:
        console.print(f"stopped by SIGTERM at step {fitted.step}; its checkpoint is saved, go on with --resume")
        return "stopped", fitted.step
    if recorder.warning():
        console.print(recorder.warning(), style="yellow", soft_wrap=True, highlight=False)
    if prepared.evaluation.after and prepared.suites and is_main():
        with fitted.answering:
            results = evaluator.all_suites("after", fitted.policy)
        console.print(evaluation_table(results))
    return "finished", fitted.step


def _go_on(directory: RunDirectory, checkpoint: Checkpoint | None, *, total: int, console: Console) -> None:
    """Forget evaluations of a policy that is trained further, and say where a resumed run stands."""
    done = checkpoint.step if checkpoint else 0
    if done < total and is_main():
        directory.drop_evaluations(AFTER)
    if checkpoint is not None:
        finished = f"all {total} steps are done; finishing what comes after"
        console.print(f"going on from step {done}" if done < total else finished, highlight=False)


def _check_output(path: Path, recipe: Recipe, *, resume: bool, held: ExitStack) -> None:
    """Refuse an output that another run has before anything is loaded; the main process looks, for it writes.

    Args:
        held: takes the lock of a run that is resumed, for as long as the run lasts.

    Raises:
        ValueError: something is there and `resume` was not asked for, or it holds another recipe's run.
        RunBusyError: it still runs.
    """
    if not is_main():
        return
    if not resume:
        RunDirectory.check_free(path)
        return
    directory = RunDirectory.open(path)
    held.enter_context(only_writer(path))
    if changed := other_keys(directory, recipe):
        raise ValueError(
            f"{path} holds a run of another recipe ({changed}): resume it with "
            f"`mel train {path / RECIPE} --output {path} --resume`, or choose another --output"
        )


def _open(
    path: Path, prepared: Prepared, resumption: Resumption, *, resume: bool, held: ExitStack, console: Console
) -> RunDirectory:
    """The run directory; only the main process makes it, or takes out what lies behind the checkpoint."""
    if not is_main():
        return _wait_for(path)
    if not resume:
        created = RunDirectory.create(path, prepared.recipe.resolved(), environment(prepared))
        held.enter_context(only_writer(path))
        return created
    directory = RunDirectory.open(path)
    changed = other_processes(directory.environment.get("processes"), num_processes())
    for sentence in [*clear(resumption), *changed]:
        console.print(sentence, style="yellow", soft_wrap=True, highlight=False, markup=False)
    directory.truncate_after(resumption.step)
    return directory


def _wait_for(path: Path, *, timeout_s: float = 120.0) -> RunDirectory:
    """The directory the main process makes; other ranks only read it."""
    give_up = time.monotonic() + timeout_s
    while not (path / RECIPE).is_file():
        if time.monotonic() > give_up:
            raise ValueError(f"{path}: expected the main process to make it within {timeout_s:g} s; is it shared?")
        time.sleep(0.2)
    return RunDirectory.open(path)
