"""The `Scorer` port over the trainer's own model: forward passes without gradient, as many on every rank."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from trl.trainer.grpo_trainer import GRPOTrainer

from mel.hosts.trl.ranks import max_over_ranks
from mel.hosts.trl.row_losses import row_logprobs
from mel.objective.rows import pad_rows
from mel.ports import Logprobs
from mel.types import Row, Score


class TrainerScorer:
    """Log-probabilities of targets under the trained model, or under the one before training, at temperature 1.

    Every rank makes the same number of forward passes, which sharded models need: a rank with fewer sequences passes
    dummies through. No generation engine takes part.
    """

    def __init__(self, trainer: GRPOTrainer) -> None:
        self._trainer: Any = trainer

    def score(self, request: Score) -> list[Logprobs]:
        """One tuple per target, in order.

        Raises:
            ValueError: the policy before training is asked for, and this trainer does not keep it; or an empty context.
        """
        size = self._trainer.args.per_device_train_batch_size
        rows = [
            Row(context_ids=context, target_ids=target)
            for context, target in zip(request.contexts, request.targets, strict=True)
            if target
        ]
        count = max_over_ranks(len(rows), self._trainer.accelerator)
        found: list[Logprobs] = []
        with self._model_of(request) as model, torch.no_grad():
            for start in range(0, count, size):
                found += self._batch(model, rows[start : start + size], min(size, count - start))
        scored = iter(found)
        return [next(scored) if target else () for target in request.targets]

    def _batch(self, model: Any, rows: Sequence[Row], count: int) -> list[Logprobs]:
        trainer = self._trainer
        batch = pad_rows(rows, [1.0] * len(rows), pad_id=trainer.eos_token_ids[0], count=count, term="nll")
        logp_RT = row_logprobs(trainer, model, batch.to(trainer.accelerator.device)).float().cpu()
        return [tuple(logp_RT[i, : len(row.target_ids)].tolist()) for i, row in enumerate(rows)]

    def _model_of(self, request: Score) -> Any:
        trainer = self._trainer
        if request.policy == "current":
            return nullcontext(trainer.model)
        if trainer.ref_model is not None:
            return nullcontext(trainer.ref_model)
        if hasattr(trainer.accelerator.unwrap_model(trainer.model), "disable_adapter"):
            return _AdapterOff(trainer)
        raise ValueError(
            "log-probabilities under the initial policy need a trainer that keeps it: set beta above 0 (a reference "
            "model), or train a LoRA adapter"
        )


class _AdapterOff:
    """The trained model with its adapter switched off: what it was before training."""

    def __init__(self, trainer: Any) -> None:
        self._model = trainer.model
        self._context = trainer.accelerator.unwrap_model(trainer.model).disable_adapter()

    def __enter__(self) -> Any:
        self._context.__enter__()
        return self._model

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(*error)
