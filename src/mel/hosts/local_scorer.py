"""The `Scorer` port over a model on this machine: forward passes without gradient, no trainer and no engine.

Axes: R rows, T target tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mel.objective.rows import RowBatch
from mel.objective.score import in_order, score_batches, token_logprobs
from mel.ports import Logprobs
from mel.requests import Score


class LocalScorer:
    """Log-probabilities of targets under one model, at temperature 1.

    Args:
        model: a causal language model on whatever device it is to run on; put into evaluation mode.
        pad_id: any valid token id.
        batch_size: targets per forward pass; they are grouped by length, so a batch holds little padding.
    """

    def __init__(self, model: Any, *, pad_id: int, batch_size: int = 16) -> None:
        self._model = model.eval()
        self._pad_id = pad_id
        self._batch_size = batch_size

    def score(self, request: Score) -> list[Logprobs]:
        """One tuple per target, in order.

        Raises:
            ValueError: the policy before training is asked for, of which nothing is known here; or an empty context.
        """
        if request.policy != "current":
            raise ValueError("log-probabilities under the initial policy need a trainer that keeps it")
        batches = score_batches(request, pad_id=self._pad_id, rows_per_batch=self._batch_size)
        with torch.no_grad():
            return in_order(request, batches, [self._logprobs(batch.rows) for batch in batches])

    def _logprobs(self, rows: RowBatch) -> Tensor:
        rows, width = rows.to(self._model.device), rows.num_targets
        # Padding stands on the left; models that learn absolute positions must not count it.
        position_RL = (rows.attention_RL.cumsum(-1) - 1).clamp(min=0)
        logits_RTV = self._model(
            input_ids=rows.ids_RL,
            attention_mask=rows.attention_RL,
            position_ids=position_RL,
            logits_to_keep=width + 1,
            use_cache=False,
        ).logits[:, :-1]
        return token_logprobs(logits_RTV, rows.ids_RL[:, -width:]).cpu()
