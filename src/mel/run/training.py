"""`mel train`: one recipe from its first step to its last evaluation, in one run directory."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console

from mel.config import Recipe
from mel.naming import did_you_mean
from mel.record.run_directory import RunDirectory, State
from mel.run.checked import CheckedVerifier
from mel.run.evaluation import Evaluator, longest_sequence
from mel.run.recorder import Recorder
from mel.run.wiring import Wiring, build_method, check_lengths, environment, wire
from mel.types import Problem

OURS = ("output_dir", "run_name", "logging_dir")
"""GRPOConfig fields that the run directory settles."""

GUARD = "mel_engine_"
"""Fields of MELConfig that stand in a recipe's trainer section, beside `use_vllm`; the others are sections of it."""

DEFAULTS: dict[str, Any] = {
    "logging_steps": 1,
    "report_to": "none",
    "disable_tqdm": True,
    "remove_unused_columns": False,
    "save_strategy": "steps",
}
"""Where we start from something else than TRL does; a recipe may say otherwise."""


def train(recipe: Recipe, *, output: Path | None = None, resume: bool = False, console: Console | None = None) -> Path:
    """Run a recipe to its end and return its run directory.

    Args:
        output: the run directory; default `runs/<recipe>-s<seed>`.
        resume: continue from the last checkpoint; what was recorded after it is forgotten and done again.

    Raises:
        ValueError: bad input, before anything is trained.
    """
    from mel.hosts.load import load_model, quiet_libraries

    quiet_libraries()
    console = console if console is not None and _is_main() else Console(quiet=True)
    wiring = wire(recipe)
    _refuse_adapter(wiring.model_path)
    _refuse_evaluating_shards(recipe)
    problems = wiring.task.problems(recipe.task.split, recipe.task.count)
    if not problems:
        raise ValueError(f"task {recipe.task.name}: split {recipe.task.split!r} holds no problem; nothing to train on")
    path = output or Path(recipe.output.path or f"runs/{recipe.name}-s{recipe.seed}")
    arguments = _arguments(wiring, path)
    model = load_model(wiring.model_path, dtype=recipe.model.dtype, attention=recipe.model.attention)
    check_lengths(wiring, problems, model.config.to_dict())
    _check_evaluations(wiring, model)
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
    console.print(f"run directory: {path}", soft_wrap=True, highlight=False)
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
    """Train and evaluate; how it ended and after how many optimizer steps."""
    from mel.hosts.load import device
    from mel.hosts.trl import MELTrainer, VerifierReward
    from mel.hosts.trl.stepwise import AfterStep, SaveOnSigterm, without_printing

    recipe = wiring.recipe
    evaluator = Evaluator(wiring, directory, console=console)
    if checkpoint is None and recipe.evaluation.before and _is_main():
        evaluator.all_suites("before", model.to("cpu" if arguments.use_cpu else device()))
        model.to("cpu")  # where the trainer expects it: under FSDP no GPU may hold all of it
    batches_per_step = arguments.gradient_accumulation_steps / (
        arguments.steps_per_generation * arguments.num_iterations
    )
    total = _total_steps(arguments, len(problems))
    recorder = Recorder(
        directory,
        wiring.task,
        total_steps=total,
        batches_per_step=batches_per_step,
        console=console,
    )
    if checkpoint is not None:
        done = _step_of(checkpoint)
        what = (
            f"going on from step {done}" if done < total else f"all {total} steps are done; finishing what comes after"
        )
        console.print(what, highlight=False)
    sigterm = SaveOnSigterm()
    verifier = CheckedVerifier(recipe.task.name, wiring.task)
    trainer = MELTrainer(
        model=model,
        reward_funcs=[VerifierReward(verifier)],
        args=arguments,
        train_dataset=_dataset(wiring, problems),
        processing_class=wiring.tokenizer,
        peft_config=_lora(recipe),
        callbacks=[sigterm, AfterStep(lambda step, model: _evaluate_between(evaluator, trainer, step, model))],
        method=build_method(wiring),
        verifier=verifier,
        observer=recorder,
    )
    without_printing(trainer)
    with recorder:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    step = trainer.state.global_step
    if sigterm.is_asked:
        console.print(f"stopped by SIGTERM at step {step}; its checkpoint is saved, go on with --resume")
        return "stopped", step
    if recipe.output.save_final:
        trainer.save_model(str(directory.path / "model"))
    if recipe.evaluation.after and _is_main():
        evaluator.all_suites("after", trainer.accelerator.unwrap_model(trainer.model).eval())
    return "finished", step


def _refuse_adapter(path: str) -> None:
    """Refuse to start from an adapter: what is made of its base (another adapter, a reference) would lack it."""
    from mel.hosts.load import is_adapter

    if is_adapter(path):
        raise ValueError(
            f"model.path: {path} is a LoRA adapter, and training starts from a whole model: merge it first, "
            f"mel merge {path} --output DIR, and give DIR"
        )


def _refuse_evaluating_shards(recipe: Recipe) -> None:
    """Refuse to evaluate weights that lie in shards within the run: the main process alone would wait for ever."""
    section = recipe.evaluation
    if section.suites and (section.after or section.every) and _is_sharded():
        raise ValueError(
            "evaluation: the launcher shards the weights (FSDP or ZeRO-3), and within a run one process evaluates: set "
            "evaluation.after: false and evaluation.every: null, and give `mel eval RUN` afterwards"
        )


def _is_sharded() -> bool:
    """Whether no rank holds the whole policy, as accelerate tells the processes that it launches."""

    def says(name: str, value: str) -> bool:
        return os.environ.get(name, "").lower() == value

    is_zero3 = says("ACCELERATE_USE_DEEPSPEED", "true") and says("ACCELERATE_DEEPSPEED_ZERO_STAGE", "3")
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and (says("ACCELERATE_USE_FSDP", "true") or is_zero3)


def _check_evaluations(wiring: Wiring, model: Any) -> None:
    """Refuse suites of this run whose prompts and responses do not fit the model, before hours are spent."""
    section = wiring.recipe.evaluation
    if section.before or section.after or section.every:
        for suite in section.suites:
            longest_sequence(wiring, suite, positions=getattr(model.config, "max_position_embeddings", None))


def _total_steps(arguments: Any, num_problems: int) -> int:
    """Optimizer steps of the run: `max_steps`, or as many as its epochs have."""
    if arguments.max_steps > 0:
        return arguments.max_steps
    rollouts = arguments.per_device_train_batch_size * arguments.world_size * arguments.gradient_accumulation_steps
    return math.ceil(arguments.num_train_epochs * num_problems * arguments.num_generations / rollouts)


def _evaluate_between(evaluator: Evaluator, trainer: Any, step: int, model: Any) -> None:
    from mel.hosts.trl.stepwise import log_beside

    every = evaluator.settings.every
    if every is not None and step % every == 0 and _is_main():
        log_beside(trainer, evaluator.greedy(model))


def _arguments(wiring: Wiring, path: Path) -> Any:
    """The TRL configuration of a recipe: its `trainer` section, the carrier's fields and the rows' weight.

    Raises:
        ValueError: an unknown field (the nearest valid one is named), one that is set elsewhere, a missing tracker.
    """
    from mel.hosts.trl import MELConfig, surrogate_fields
    from mel.hosts.trl.trackers import check_trackers
    from mel.methods import CARRIERS

    recipe = wiring.recipe
    valid = [f.name for f in fields(MELConfig) if f.init and (f.name[:4] != "mel_" or f.name.startswith(GUARD))]
    for name in recipe.trainer:
        if name in OURS:
            raise ValueError(f"trainer.{name}: the run directory settles it; use output.path or --output")
        if name not in valid:
            hint = did_you_mean(name, valid) or f"; expected a field of TRL's GRPOConfig, or {GUARD}*"
            raise ValueError(f"unknown key 'trainer.{name}'{hint}")
    rows: dict[str, Any] = {"mel_weight": "constant"}
    for auxiliary in recipe.auxiliaries:
        weight = auxiliary.weight
        rows = {
            "mel_weight": weight.kind,
            "mel_lambda": weight.value,
            "mel_share": weight.share,
            "mel_measure_every": weight.every,
            "mel_decay": weight.decay,
            "mel_reduction": auxiliary.reduction,
            "mel_backward": auxiliary.backward,
            "mel_rows_per_backward": auxiliary.rows_per_backward,
        }
    surrogate = surrogate_fields(CARRIERS[recipe.carrier]().surrogate)
    names = {"output_dir": str(path / "checkpoints"), "run_name": path.name}
    tables = {"mel_tracked_experiences": recipe.output.tracked_experiences}
    settings: dict[str, Any] = DEFAULTS | surrogate | recipe.trainer | rows | tables | names
    try:
        arguments: Any = MELConfig(**settings)
    except ValueError as error:
        hint = "; on a CPU: --set trainer.use_cpu=true --set trainer.bf16=false" if "bf16/gpu" in str(error) else ""
        raise ValueError(f"trainer: {str(error).rstrip('.')}{hint}") from error
    check_trackers([*arguments.report_to])
    return arguments


def _dataset(wiring: Wiring, problems: Sequence[Problem]) -> Any:
    from datasets import Dataset

    from mel.hosts.trl import example_of

    return Dataset.from_list([example_of(p, wiring.prompt_set.solve(p.text)) for p in problems])


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
