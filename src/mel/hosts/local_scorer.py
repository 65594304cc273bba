"""The scorer port over a model on this machine: forward passes without gradient, no trainer and no server."""

from __future__ import annotations

from typing import Any

import torch

from mel.objective.score import in_order, score_batches, token_logprobs
from mel.ports import Logprobs
from mel.requests import Score


class LocalScorer:
    """Log-probabilities of targets under one model, at temperature 1.

    Args:
        model: a causal language model, in evaluation mode.
        pad_id: any token; what is padded is masked.
        batch_size: sequences per forward pass.
    """

    def __init__(self, model: Any, *, pad_id: int, batch_size: int = 16) -> None:
        self._model = model
        self._pad_id = pad_id
        self._batch_size = batch_size

    @torch.no_grad()
    def score(self, request: Score) -> list[Logprobs]:
        """One tuple per target, in order.

        Raises:
            ValueError: the policy before training is asked for, and there is one model only.
        """
        if request.policy != "current":
            raise ValueError(f"expected to score under the current policy, got {request.policy!r}: there is no other")
        batches = score_batches(request, pad_id=self._pad_id, rows_per_batch=self._batch_size)
        found = []
        for batch in batches:
            rows = batch.rows.to(self._model.device)
            output = self._model(input_ids=rows.ids_RL, attention_mask=rows.attention_RL, use_cache=False)
            width = rows.num_targets
            found.append(token_logprobs(output.logits[:, -width - 1 : -1], rows.ids_RL[:, -width:]).cpu())
        return in_order(request, batches, found)
