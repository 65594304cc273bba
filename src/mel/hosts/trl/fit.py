"""TRL as the host of a run: a checked recipe is trained by `MELTrainer`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datasets import Dataset

from mel.config import Recipe
from mel.hosts.load import device, load_model
from mel.hosts.trl.arguments import TRLArguments, arguments_of
from mel.hosts.trl.checkpoints import checkpoints_in, whole_or_nothing
from mel.hosts.trl.precision import cast_once
from mel.hosts.trl.problems import example_of
from mel.hosts.trl.ranks import leave_group
from mel.hosts.trl.stepwise import AfterStep, Begun, SaveOnSigterm, log_beside, without_printing
from mel.hosts.trl.trainer import MELTrainer
from mel.hosts.trl.verdicts import VerifierReward
from mel.launch import is_main
from mel.methods import Method
from mel.ports import Observer
from mel.prepared import Checkpoint, Fitted, Host, Log, Prepared, RefusedError
from mel.record.run_directory import CHECKPOINTS


class TRLHost:
    """One process, several, or several nodes, as accelerate launches them."""

    def arguments(self, recipe: Recipe, path: Path) -> TRLArguments:
        """What TRL takes from a recipe; see `arguments_of`."""
        return arguments_of(recipe, path)

    def total_steps(self, prepared: Prepared) -> int:
        """`max_steps`, or as many as the epochs have; problems that do not fill a last generation batch are left out.

        Raises:
            ValueError: the run would train no step.
        """
        config, problems = prepared.trainer.config, len(prepared.problems)
        at_once = config.generation_batch_size // config.num_generations
        if problems < at_once:
            raise ValueError(
                f"trainer: expected at least the {at_once} problems of one generation batch ({at_once} x "
                f"num_generations {config.num_generations} = {config.generation_batch_size} rollouts), got {problems}: "
                f"the run would train no step. Lower trainer.per_device_train_batch_size or "
                f"trainer.gradient_accumulation_steps, or give more problems (task.count)"
            )
        micro_batches = problems // at_once * config.steps_per_generation * config.num_iterations
        per_epoch = math.ceil(micro_batches / config.gradient_accumulation_steps)
        total = config.max_steps if config.max_steps >= 0 else math.ceil(config.num_train_epochs * per_epoch)
        if total < 1:
            name = "max_steps" if config.max_steps >= 0 else "num_train_epochs"
            raise ValueError(
                f"trainer.{name}: expected more than 0, got {getattr(config, name)}: the run would train no step. "
                f"`mel eval` evaluates a model without training it"
            )
        return total

    def checkpoints(self, path: Path, *, total: int) -> list[Checkpoint]:
        """`checkpoints/checkpoint-<step>`, by step."""
        return checkpoints_in(path / CHECKPOINTS, total=total)

    def load(self, prepared: Prepared) -> Any:
        """The causal language model on the CPU, from where the trainer places it."""
        return load_model(prepared.model_path, dtype=prepared.trainer.dtype, attention=prepared.trainer.attention)

    @contextmanager
    def answering(self, prepared: Prepared, policy: Any) -> Iterator[Any]:
        """On the device that trains; afterwards on the CPU again, for under FSDP no GPU may hold all of it."""
        yield policy.to("cpu" if prepared.trainer.config.use_cpu else device())
        policy.to("cpu")

    def fit(
        self,
        prepared: Prepared,
        method: Method,
        observer: Observer,
        *,
        policy: Any,
        checkpoint: Checkpoint | None = None,
        between: Callable[[int, Any, Log], None],
        save_to: Path | None = None,
    ) -> Fitted:
        """Train by `MELTrainer`; SIGTERM ends the step that it is in, saves a checkpoint and stops."""
        sigterm = SaveOnSigterm()

        def after_step(step: int, model: Any) -> None:
            # After a signal to stop, the checkpoint comes first; the resumed run evaluates.
            if is_main() and not sigterm.is_asked:
                with cast_once(trainer.accelerator):
                    between(step, model, lambda metrics: log_beside(trainer, metrics))

        arguments: TRLArguments = prepared.trainer
        begun = Begun()
        with _refusing(begun):
            trainer = MELTrainer(
                model=policy,
                reward_funcs=[VerifierReward(prepared.verifier)],
                args=arguments.config,
                train_dataset=Dataset.from_list([example_of(p, prepared.ask(p)) for p in prepared.problems]),
                processing_class=prepared.tokenizer,
                peft_config=arguments.lora,
                callbacks=[begun, sigterm, AfterStep(after_step)],
                method=method,
                verifier=prepared.verifier,
                observer=observer,
                learning=arguments.learning,
            )
            without_printing(trainer)
            trainer.train(resume_from_checkpoint=str(checkpoint.path) if checkpoint else None)
        if save_to is not None and not sigterm.is_asked:
            with whole_or_nothing(save_to, is_writer=is_main()):
                trainer.save_model(str(save_to))
        return Fitted(
            step=trainer.state.global_step,
            is_stopped=sigterm.is_asked,
            policy=trainer.accelerator.unwrap_model(trainer.model).eval(),
            answering=cast_once(trainer.accelerator),
        )

    def leave(self) -> None:
        """Ends the process group."""
        leave_group()


@contextmanager
def _refusing(begun: Begun) -> Iterator[None]:
    """What TRL, peft or transformers raise before the first step is about what they were given: one line says it."""
    try:
        yield
    except (ValueError, TypeError, ImportError, RuntimeError) as error:
        if begun.is_begun:
            raise
        what = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise RefusedError(f"trainer: {what}{' '.join(str(error).split())}") from error


HOST: Host = TRLHost()
"""What `mel.hosts.HOSTS` leads to."""
