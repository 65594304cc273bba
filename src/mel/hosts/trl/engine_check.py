"""A guard against an engine that samples from other weights than those being trained.

Loading new weights into an engine can "succeed" and change nothing (vLLM's CPU build keeps prepacked copies of
its linear layers). What it then samples is some other policy's, and nothing in the loop would notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers.utils import logging
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

logger = logging.get_logger(__name__)

ROWS = 4
"""Rollouts per rank that are scored again; a few hundred tokens tell a stale engine from a rounding difference."""


class StaleEngineError(RuntimeError):
    """The engine's log-probabilities of what it just sampled are not those of the trained weights."""


def is_comparable(args: GRPOConfig) -> bool:
    """Whether engine and trainer mean the same distribution: vLLM reports what is left after a cut, the trainer all."""
    uncut = args.top_p == 1.0 and args.top_k in (None, 0, -1) and args.min_p in (None, 0.0)
    if not uncut or args.repetition_penalty != 1.0:
        logger.warning(
            "the engine's weights cannot be checked: its log-probabilities under top_p, top_k, min_p or "
            "repetition_penalty are not those of the policy alone"
        )
        return False
    return True


class EngineCheck:
    """Compares the engine's log-probabilities of a few sampled tokens with the trainer's own.

    Applies wherever the engine reports log-probabilities (vLLM, a `rollout_func` that returns them); with
    transformers' own generation there is nothing that could be stale.

    Args:
        every: generation batches between two checks; the first two are always checked, for the second is the
            first on updated weights. 0: never.
        tolerance: largest mean absolute difference, in nats per token. Rounding in bfloat16 gives about 0.01.
    """

    def __init__(self, trainer: GRPOTrainer, *, every: int, tolerance: float) -> None:
        self._trainer: Any = trainer
        self._every = every
        self._tolerance = tolerance
        self._batches = 0

    def __call__(self, output: Mapping[str, Any]) -> dict[str, float]:
        """What to log about this generation batch; every rank must call it.

        Raises:
            StaleEngineError: on all ranks, if any rank's difference exceeds the tolerance.
        """
        batch, self._batches = self._batches, self._batches + 1
        sampled_BT = output.get("sampling_per_token_logps")
        if sampled_BT is None or not self._every or (batch > 1 and batch % self._every):
            return {}
        local = logp_difference(sampled_BT[:ROWS], self._own(output), output["completion_mask"][:ROWS].bool())
        accelerator = self._trainer.accelerator
        worst = float(accelerator.gather(local.to(accelerator.device).reshape(1)).max())
        if worst > self._tolerance:
            raise StaleEngineError(
                f"the generation engine and the trainer disagree by {worst:.3f} nats per sampled token (tolerance "
                f"{self._tolerance:g}) before optimizer step {self._trainer.state.global_step + 1}: the engine does "
                "not run on the current weights. Generate with transformers (use_vllm=False), use an engine build "
                "whose weight loading works, or, if this is rounding or unscaled log-probabilities, raise "
                "mel_engine_tolerance"
            )
        return {"engine/logp_difference": worst}

    def _own(self, output: Mapping[str, Any]) -> Tensor:
        prompt, completion = output["prompt_ids"][:ROWS], output["completion_ids"][:ROWS]
        mask = torch.cat([output["prompt_mask"][:ROWS], output["completion_mask"][:ROWS]], dim=1)
        with torch.no_grad():
            logp_RT, _, _ = self._trainer._get_per_token_logps_and_entropies(
                self._trainer.model, torch.cat([prompt, completion], dim=1), mask, completion.size(1)
            )
        return logp_RT


def logp_difference(sampled_RT: Tensor, own_RT: Tensor, mask_RT: Tensor) -> Tensor:
    """Mean absolute difference (nats) over the masked tokens that the engine could score (not NaN); 0 if none."""
    known_RT = mask_RT & ~sampled_RT.isnan()
    difference_RT = (sampled_RT - own_RT).abs().masked_fill(~known_RT, 0.0)
    return difference_RT.sum() / known_RT.sum().clamp(min=1)
