"""`mel train`: one recipe from its first step to its last evaluation, in one run directory."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from mel.config import Recipe
from mel.record.run_directory import AFTER, RunDirectory, State
from mel.report.terminal import evaluation_table
from mel.run.arguments import training_arguments
from mel.run.checked import CheckedVerifier
from mel.run.evaluation.within_training import Evaluator
from mel.run.recorder import Recorder
from mel.run.refusals import check_evaluations, refuse_adapter, refuse_evaluating_shards
from mel.run.wiring import Wiring, build_method, check_lengths, environment, wire
from mel.types import Problem


def train(recipe: Recipe, *, output: Path | None = None, resume: bool = False, console: Console | None = None) -> Path:
    """Run a recipe to its end and return its run directory.

    Args:
        output: the run directory; default `runs/<recipe>-s<seed>`.
        resume: continue from the last checkpoint; what was recorded after it is forgotten and done again.

    Raises:
        ValueError: bad input, before anything is trained.
    """
    from mel.hosts.load import load_model, quiet_libraries
    from mel.hosts.trl.ranks import leave_group

    quiet_libraries()
    console = console if console is not None and _is_main() else Console(quiet=True)
    wiring = wire(recipe)
    refuse_adapter(wiring.model_path)
    refuse_evaluating_shards(recipe)
    problems = wiring.task.problems(recipe.task.split, recipe.task.count)
    if not problems:
        raise ValueError(f"task {recipe.task.name}: split {recipe.task.split!r} holds no problem; nothing to train on")
    path = output or Path(recipe.output.path or f"runs/{recipe.name}-s{recipe.seed}")
    arguments = training_arguments(wiring, path)
    model = load_model(wiring.model_path, dtype=recipe.model.dtype, attention=recipe.model.attention)
    check_lengths(wiring, problems, model.config.to_dict())
    check_evaluations(wiring, model)
    directory, checkpoint = _open(path, wiring, resume=resume)
    with directory:
        try:
            state, step = _train(wiring, model, problems, arguments, directory, checkpoint=checkpoint, console=console)
        except BaseException as error:
            if _is_main():
                ended = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
                directory.set_status(ended, message=f"{type(error).__name__}: {error}")
            raise
        if _is_main():
            directory.set_status(state, step=step)
    leave_group()
    console.print(f"run directory: {path} (mel report {path})", soft_wrap=True, highlight=False)
    return path


def _train(
    wiring: Wiring,
    model: Any,
    problems: Sequence[Problem],
    arguments: Any,
    directory: RunDirectory,
    *,
    checkpoint: Path | None,
    console: Console,
) -> tuple[State, int]:
    """Train and evaluate; returns how it ended and after how many optimizer steps."""
    from mel.hosts.load import device
    from mel.hosts.trl import MELTrainer, VerifierReward
    from mel.hosts.trl.stepwise import AfterStep, SaveOnSigterm, log_beside, without_printing

    recipe = wiring.recipe
    evaluator = Evaluator(wiring, directory, console=console)
    if checkpoint is None and recipe.evaluation.before and _is_main():
        evaluator.all_suites("before", model.to("cpu" if arguments.use_cpu else device()))
        model.to("cpu")  # where the trainer expects it: under FSDP no GPU may hold all of it
    total = _total_steps(arguments, len(problems))
    recorder = Recorder(directory, wiring.task, total_steps=total, console=console)
    done = _step_of(checkpoint)
    if done < total and _is_main():
        directory.drop_evaluations(AFTER)
    if checkpoint is not None:
        what = (
            f"going on from step {done}" if done < total else f"all {total} steps are done; finishing what comes after"
        )
        console.print(what, highlight=False)
    sigterm = SaveOnSigterm()

    def after_step(step: int, model: Any) -> None:
        # After a signal to stop, the checkpoint comes first; the resumed run evaluates.
        if _is_main() and not sigterm.is_asked:
            evaluator.between(step, model, log=lambda metrics: log_beside(trainer, metrics))

    verifier = CheckedVerifier(recipe.task.name, wiring.task)
    trainer = MELTrainer(
        model=model,
        reward_funcs=[VerifierReward(verifier)],
        args=arguments,
        train_dataset=_dataset(wiring, problems),
        processing_class=wiring.tokenizer,
        peft_config=_lora(recipe),
        callbacks=[sigterm, AfterStep(after_step)],
        method=build_method(wiring),
        verifier=verifier,
        observer=recorder,
    )
    without_printing(trainer)
    with recorder:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if sigterm.is_asked:
        step = trainer.state.global_step
        console.print(f"stopped by SIGTERM at step {step}; its checkpoint is saved, go on with --resume")
        return "stopped", step
    if recorder.warning():
        console.print(recorder.warning(), style="yellow", soft_wrap=True, highlight=False)
    _finish(trainer, evaluator, recipe, directory, console)
    return "finished", trainer.state.global_step


def _finish(trainer: Any, evaluator: Evaluator, recipe: Recipe, directory: RunDirectory, console: Console) -> None:
    """Save the trained policy and evaluate it."""
    if recipe.output.save_final:
        trainer.save_model(str(directory.path / "model"))
    if recipe.evaluation.after and recipe.evaluation.suites and _is_main():
        results = evaluator.all_suites("after", trainer.accelerator.unwrap_model(trainer.model).eval())
        console.print(evaluation_table(results))


def _total_steps(arguments: Any, num_problems: int) -> int:
    """Optimizer steps of the run: `max_steps`, or as many as its epochs have."""
    if arguments.max_steps > 0:
        return arguments.max_steps
    rollouts = arguments.per_device_train_batch_size * arguments.world_size * arguments.gradient_accumulation_steps
    return math.ceil(arguments.num_train_epochs * num_problems * arguments.num_generations / rollouts)


def _dataset(wiring: Wiring, problems: Sequence[Problem]) -> Any:
    from datasets import Dataset

    from mel.hosts.trl import example_of

    return Dataset.from_list([example_of(p, wiring.ask(p)) for p in problems])


def _lora(recipe: Recipe) -> Any:
    if recipe.model.lora is None:
        return None
    from mel.hosts.load import lora_config

    return lora_config(recipe.model.lora)


def _open(path: Path, wiring: Wiring, *, resume: bool) -> tuple[RunDirectory, Path | None]:
    """The run directory and the checkpoint to go on from; only the main process makes or truncates it.

    Raises:
        ValueError: it exists and `resume` was not asked for, or it holds another recipe's run.
    """
    if not _is_main():
        return _wait_for(path), _last_checkpoint(path) if resume else None
    if not resume:
        return RunDirectory.create(path, wiring.recipe.resolved(), environment(wiring)), None
    directory = RunDirectory.open(path)
    then, now = directory.environment["recipe_sha256"], wiring.recipe.sha256()
    if then != now:
        raise ValueError(
            f"{path} holds a run of another recipe (sha256 {str(then)[:12]}, asked for {now[:12]}): resume it with "
            f"`mel train {path / 'recipe.yaml'} --output {path} --resume`, or choose another --output"
        )
    checkpoint = _last_checkpoint(path)
    directory.truncate_after(_step_of(checkpoint))
    return directory, checkpoint


def _last_checkpoint(path: Path) -> Path | None:
    """The latest whole checkpoint."""
    return max(filter(_is_whole, (path / "checkpoints").glob("checkpoint-*")), key=_step_of, default=None)


def _is_whole(checkpoint: Path) -> bool:
    """Whether all of a checkpoint was written: the trainer's state file comes last, and a kill may cut it too."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def _step_of(checkpoint: Path | None) -> int:
    return 0 if checkpoint is None else int(checkpoint.name.rpartition("-")[2])


def _wait_for(path: Path, *, timeout_s: float = 120.0) -> RunDirectory:
    """The directory the main process makes; other ranks only read it."""
    give_up = time.monotonic() + timeout_s
    while not (path / "recipe.yaml").is_file():
        if time.monotonic() > give_up:
            raise ValueError(f"{path}: expected the main process to make it within {timeout_s:g} s; is it shared?")
        time.sleep(0.2)
    return RunDirectory.open(path)


def _is_main() -> bool:
    return int(os.environ.get("RANK", "0")) == 0
