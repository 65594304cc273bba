"""The `Scorer` port over the trainer's own model: forward passes without gradient, as many on every rank."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from accelerate.utils import is_peft_model
from torch import Tensor
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.utils import use_adapter

from mel.hosts.trl.initial_policy import InitialWeights
from mel.hosts.trl.progress import ProgressReporter
from mel.hosts.trl.ranks import max_over_ranks
from mel.hosts.trl.row_losses import row_logprobs
from mel.hosts.trl.stepwise import evaluating
from mel.objective.score import ScoreBatch, in_order, score_batches
from mel.ports import Logprobs
from mel.requests import Score


class TrainerScorer:
    """Log-probabilities of targets under the trained model, or under the one before training, at temperature 1 and
    without dropout.

    Every rank makes the same number of forward passes, which sharded models need: a rank with fewer sequences passes
    dummies through. No generation engine takes part.

    Args:
        progress: hears of every forward pass.
        initial: the weights before training; None where the trainer keeps them, or nobody is known to ask for them.
    """

    def __init__(
        self, trainer: GRPOTrainer, *, progress: ProgressReporter, initial: InitialWeights | None = None
    ) -> None:
        self._trainer: Any = trainer
        self._progress = progress
        self._initial = initial

    def score(self, request: Score) -> list[Logprobs]:
        """One tuple per target, in order.

        Raises:
            ValueError: the policy before training is asked for, and this trainer does not keep it; or an empty context.
        """
        trainer = self._trainer
        batches = score_batches(
            request,
            pad_id=trainer.eos_token_ids[0],
            rows_per_batch=trainer.args.per_device_train_batch_size,
            most=max_over_ranks(len(request.targets), trainer.accelerator),
        )
        with self._model_of(request) as model, evaluating(model), torch.no_grad():
            found = [self._logprobs(model, batch) for batch in self._progress.passes(batches)]
        return in_order(request, batches, found)

    def _logprobs(self, model: Any, batch: ScoreBatch) -> Tensor:
        rows = batch.rows.to(self._trainer.accelerator.device)
        return row_logprobs(self._trainer, model, rows).float().cpu()

    def _model_of(self, request: Score) -> Any:
        trainer = self._trainer
        if request.policy == "current":
            return nullcontext(trainer.model)
        if self._initial is not None:
            return _with_weights(trainer, self._initial)
        if trainer.args.sync_ref_model:
            raise ValueError(
                "log-probabilities under the initial policy need a reference that stays what it was: set "
                "sync_ref_model to False"
            )
        if trainer.ref_model is not None:
            return nullcontext(trainer.ref_model)
        if is_peft_model(trainer.accelerator.unwrap_model(trainer.model)):
            return _initial_adapter(trainer)
        raise ValueError(
            "log-probabilities under the initial policy need a trainer that keeps it: set beta above 0 (a reference "
            "model), or train a LoRA adapter"
        )


@contextmanager
def _with_weights(trainer: Any, initial: InitialWeights) -> Iterator[Any]:
    with initial.inside(trainer.accelerator.unwrap_model(trainer.model)):
        yield trainer.model


@contextmanager
def _initial_adapter(trainer: Any) -> Iterator[Any]:
    """The trained model with its adapter as it was before training, as TRL finds its own reference.

    Where TRL was given a model with an adapter and beta is above 0, it keeps a copy of that adapter. Else the adapter
    is off: a new one changes nothing before it is trained, unless its `init_lora_weights` say otherwise.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    with use_adapter(model, adapter_name="ref" if "ref" in model.peft_config else None):
        yield trainer.model
