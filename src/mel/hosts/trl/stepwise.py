"""A plain function called after every optimizer step, before the checkpoint of that step is written."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from types import FrameType
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class AfterStep(TrainerCallback):
    """Calls `function(step, model)` on every rank, with the model in evaluation mode and as it was afterwards.

    A resumed run calls it once more for the step of its checkpoint, in case that step was left in haste.
    """

    def __init__(self, function: Callable[[int, Any], None]) -> None:
        self._function = function

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step:
            self.on_step_end(args, state, control, **kwargs)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        model = kwargs["model"]
        with evaluating(model):
            self._function(state.global_step, model)


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """The model in evaluation mode inside, that is without dropout, and as it was afterwards."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


class Begun(TrainerCallback):
    """Knows whether training has begun: optimizer and scheduler were made, and the first batch comes next."""

    is_begun = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.is_begun = True


def log_beside(trainer: Trainer, metrics: Mapping[str, float]) -> None:
    """Hands metrics to all that listen, trackers and observer, as a line of its own.

    `trainer.log` would mix them with what the step has gathered so far and take its own line from it.
    """
    # A copy: after logging, the handler clears the flag that the step's own line still needs.
    trainer.callback_handler.on_log(trainer.args, trainer.state, copy(trainer.control), dict(metrics))


def without_printing(trainer: Trainer) -> None:
    """Takes away the callback that prints every line of metrics: the observer has them."""
    trainer.remove_callback(PrinterCallback)


class SaveOnSigterm(TrainerCallback):
    """On SIGTERM the trainer ends the step it is in, saves a checkpoint and stops; a scheduler's warning is enough.

    Ranks agree after every step: a signal that reaches one of them, or all of them in different steps, stops all
    after the same one. When training ends the former handler is put back and they agree once more, so that `is_asked`
    is then the same on all. Only the main thread can set a handler; elsewhere this does nothing.
    """

    def __init__(self) -> None:
        self.is_asked = False
        self._former: Any = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        try:
            self._former = signal.signal(signal.SIGTERM, self._ask)
        except ValueError:
            self._former = None

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        # Only ever set, never cleared: a signal may come while the ranks agree, and then counts at the next step.
        if _is_true_of_any(self.is_asked, args):
            self.is_asked = True
            control.should_save = True
            # The model alone could not be gone on from, and whoever stops a run means to go on.
            args.save_only_model = False
            control.should_training_stop = True
        return control

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._former is not None:
            signal.signal(signal.SIGTERM, self._former)
        # One that came after the last agreement: what follows training has collective calls of its own.
        self.is_asked = _is_true_of_any(self.is_asked, args)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.is_asked = True


def _is_true_of_any(claim: bool, args: TrainingArguments) -> bool:
    if args.world_size == 1:
        return claim
    claims = torch.tensor(int(claim), device=args.device)
    torch.distributed.all_reduce(claims, op=torch.distributed.ReduceOp.MAX)
    return bool(claims.item())
