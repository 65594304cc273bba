"""The loss of a batch of rows under the trained model, by term."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mel.hosts.trl.stepwise import evaluating
from mel.objective.distill import distill_loss
from mel.objective.losses import mean_nll_R, policy_loss, row_loss
from mel.objective.rows import RowBatch
from mel.objective.score import token_logprobs
from mel.objective.surrogates import clipped


def loss_of(trainer: Any, model: Any, batch: RowBatch) -> tuple[Tensor, Tensor]:
    """Summed loss of the rows, each at its own scale, and (R,) what is logged of each: its mean NLL, for `nll` rows.

    Args:
        batch: rows of one term, on the trainer's device.
    """
    if batch.term == "policy":
        return _policy(trainer, model, batch), torch.zeros_like(batch.scale_R)
    if batch.term == "distill":
        return _distill(trainer, model, batch), torch.zeros_like(batch.scale_R)
    logp_RT = row_logprobs(trainer, model, batch)
    return row_loss(logp_RT, batch.target_RT, batch.scale_R), mean_nll_R(logp_RT.detach(), batch.target_RT)


def row_logprobs(trainer: Any, model: Any, batch: RowBatch) -> Tensor:
    """Log-probability (R, T) of each target under the policy itself, that is at temperature 1.

    TRL's fused head never holds the logits but divides them by the sampling temperature; at any other than 1
    the targets' logits are computed in full.
    """
    if trainer.temperature == 1.0:
        return sampling_logprobs(trainer, model, batch)
    return whole_logprobs(trainer, model, batch)


def whole_logprobs(trainer: Any, model: Any, batch: RowBatch) -> Tensor:
    """As `row_logprobs`, out of logits that the model's own `forward` gives: for models that TRL has not prepared."""
    width = batch.num_targets
    return token_logprobs(_logits(trainer, model, batch.ids_RL, batch.attention_RL, width), batch.ids_RL[:, -width:])


def sampling_logprobs(trainer: Any, model: Any, batch: RowBatch) -> Tensor:
    """Log-probability (R, T) of each target at the temperature that rollouts are sampled at, as TRL computes it."""
    logp_RT, _, _ = trainer._get_per_token_logps_and_entropies(
        model, batch.ids_RL, batch.attention_RL, batch.num_targets
    )
    return logp_RT


def with_sampling_logprobs(trainer: Any, batch: RowBatch) -> RowBatch:
    """Policy rows with their log-probabilities under the policy of now, where a later step will need them.

    As in TRL: a batch that one optimizer step uses up is on-policy, and its ratio is 1 without them.
    """
    uses = trainer.args.steps_per_generation * trainer.num_iterations
    if trainer.args.gradient_accumulation_steps % uses == 0:
        return batch
    with torch.no_grad():
        logp_RT = sampling_logprobs(trainer, trainer.model, batch.to(trainer.accelerator.device))
    return replace(batch, old_logp_RT=logp_RT)


def _policy(trainer: Any, model: Any, batch: RowBatch) -> Tensor:
    assert batch.advantages_RT is not None
    assert batch.sampled_RT is not None
    logp_RT = sampling_logprobs(trainer, model, batch)
    loss, _ = policy_loss(
        logp_RT,
        batch.old_logp_RT,
        batch.advantages_RT,
        batch.sampled_RT,
        batch.scale_R,
        epsilon_low=trainer.epsilon_low,
        epsilon_high=trainer.epsilon_high,
        level=trainer.importance_sampling_level,
        surrogate=trainer.own_surrogate or clipped,
    )
    return loss


def _distill(trainer: Any, model: Any, batch: RowBatch) -> Tensor:
    assert batch.reference_ids_RM is not None
    assert batch.reference_attention_RM is not None
    assert batch.divergence is not None
    width = batch.num_targets
    # The teacher first: without a graph of its own its activations are gone before the student's are made.
    with evaluating(model), torch.no_grad():
        teacher_RTV = _logits(trainer, model, batch.reference_ids_RM, batch.reference_attention_RM, width)
    student_RTV = _logits(trainer, model, batch.ids_RL, batch.attention_RL, width)
    return distill_loss(
        student_RTV,
        teacher_RTV,
        batch.target_RT,
        batch.scale_R,
        divergence=batch.divergence,
        top_k=batch.top_k,
    )


def _logits(trainer: Any, model: Any, ids_RL: Tensor, attention_RL: Tensor, width: int) -> Tensor:
    """Logits (R, T, V) at the targets, at temperature 1."""
    with trainer.accelerator.autocast():
        found = model(input_ids=ids_RL, attention_mask=attention_RL, logits_to_keep=width + 1, use_cache=False)
    return found.logits[:, :-1]
