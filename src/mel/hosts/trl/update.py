"""Rows in the optimizer step: their loss, their backward pass, and lambda from measured gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from accelerate.utils import DistributedType
from torch import Tensor
from trl.trainer.grpo_trainer import GRPOTrainer

from mel.hosts.trl.sync import gradient_sync
from mel.objective.gradients import Gradients, add, compare, take
from mel.objective.logprobs import token_logprobs
from mel.objective.losses import mean_nll_R, micro_step_factor, row_loss
from mel.objective.rows import RowBatch
from mel.objective.weight import Weight

Backward = Literal["joint", "separate"]


@dataclass(kw_only=True, slots=True)
class _Window:
    """State of one optimizer step: lambda if known in advance, the taken gradient if it is being measured."""

    lambda_: float
    measured: Gradients | None = None
    nll_sum: float = 0.0
    nll_rows: int = 0
    has_rows: bool = False


class RowUpdate:
    """Adds `lambda * rows' loss` to the gradient of every optimizer step.

    On a measuring step the rows of the whole step are run first, at lambda = 1 and synchronized over ranks; their
    gradient is set aside, the policy's accumulates as if there were no rows, and after the last micro-step, when
    both are known exactly, lambda times the first is added to the second. Only `.grad` is read and written, so it
    holds under accumulation, DDP, LoRA and FSDP2. No forward or backward pass is spent on measuring.

    Args:
        backward: on other steps, in the policy's backward pass or before it.
        rows_per_backward: rows per separate backward pass.

    Raises:
        ValueError: a distributed setup whose gradients cannot be measured.
    """

    def __init__(self, trainer: GRPOTrainer, weight: Weight, *, backward: Backward, rows_per_backward: int) -> None:
        self._trainer: Any = trainer
        self.weight = weight
        self._backward = backward
        self._rows_per_backward = rows_per_backward
        self._window: _Window | None = None
        self._refuse_unmeasurable()

    def before_policy(self, model: Any, slots: Sequence[RowBatch | None]) -> None:
        """Everything that comes before the policy loss of a micro-step.

        Args:
            slots: rows of this micro-step, then of those after it; looked at beyond the first only at the start
                of an optimizer step, when it must be as long as that has micro-steps.
        """
        if self._window is None:
            self._window = self._open(model, slots)
        batch = slots[0]
        if batch is not None and self._is_due(self._window) and self._backward == "separate":
            self._separate(model, [batch], self._window.lambda_, sync_last=False)

    def joint_loss(self, model: Any, slot: RowBatch | None) -> Tensor | None:
        """What to add to the policy loss of this micro-step, if anything."""
        if slot is None or self._backward != "joint" or self._window is None or not self._is_due(self._window):
            return None
        return self._window.lambda_ * self._loss(model, slot)

    def after_micro_step(self, model: Any) -> dict[str, float]:
        """Finishes the optimizer step if this was its last micro-step; returns what was measured."""
        window = self._window
        if window is None or not self._trainer.accelerator.sync_gradients:
            return {}
        self._window = None
        metrics = self._finish(model, window.measured) if window.measured is not None else {}
        if not window.has_rows:
            return metrics
        return {"objective/lambda": window.lambda_, **self._nll(window), **metrics}

    def _open(self, model: Any, slots: Sequence[RowBatch | None]) -> _Window:
        batches = [s for s in slots if s is not None]
        known = self.weight.value
        step, every = self._trainer.state.global_step, self.weight.every
        self._window = window = _Window(lambda_=known or 0.0, has_rows=bool(batches))
        if batches and every and (step % every == 0 or known is None):
            self._separate(model, batches, 1.0, sync_last=True)
            parameters = _trained(model)
            window.measured = take(parameters, copy=getattr(model, "gradient_as_bucket_view", False))
        return window

    @staticmethod
    def _is_due(window: _Window) -> bool:
        return window.measured is None and window.lambda_ > 0

    def _separate(self, model: Any, batches: Sequence[RowBatch], factor: float, *, sync_last: bool) -> None:
        chunks = [c for batch in batches for c in batch.chunks(self._rows_per_backward)]
        accelerator = self._trainer.accelerator
        # DeepSpeed would otherwise scale by its own accumulation setting; TRL's losses are finished already.
        kwargs = {"scale_wrt_gas": False} if accelerator.distributed_type == DistributedType.DEEPSPEED else {}
        # FSDP2 keeps whole gradients until it reduces them, so whoever asks for a reduction each time gets it here too.
        each = accelerator.gradient_state.plugin_kwargs.get("sync_each_batch", False)
        for i, chunk in enumerate(chunks):
            with gradient_sync(model, accelerator, enabled=each or (sync_last and i == len(chunks) - 1)):
                accelerator.backward(factor * self._loss(model, chunk), **kwargs)

    def _loss(self, model: Any, batch: RowBatch) -> Tensor:
        trainer = self._trainer
        batch = batch.to(trainer.accelerator.device)
        logp_RT = row_logprobs(trainer, model, batch)
        window = self._window
        if window is not None:
            window.nll_sum += float((mean_nll_R(logp_RT.detach(), batch.target_RT) * batch.is_nll_R).sum())
            window.nll_rows += int(batch.is_nll_R.sum())
        factor = micro_step_factor(
            num_ranks=trainer.accelerator.num_processes,
            num_slots=trainer.args.steps_per_generation,
            accumulation=trainer.current_gradient_accumulation_steps,
        )
        return factor * row_loss(logp_RT, batch.target_RT, batch.scale_R)

    def _finish(self, model: Any, auxiliary: Gradients) -> dict[str, float]:
        parameters = _trained(model)
        found = compare([p.grad for p in parameters], auxiliary)
        scaler = self._trainer.accelerator.scaler
        unscale = 1.0 / scaler.get_scale() if scaler is not None else 1.0
        policy_norm, auxiliary_norm = found.left_norm * unscale, found.right_norm * unscale
        factor = self.weight.measured(policy_norm=policy_norm, auxiliary_norm=auxiliary_norm)
        add(parameters, auxiliary, factor=factor)
        return {
            "objective/lambda": factor,
            "objective/cosine": found.cosine,
            "objective/grad_norm_policy": policy_norm,
            "objective/grad_norm_auxiliary": auxiliary_norm,
        }

    def _nll(self, window: _Window) -> dict[str, float]:
        accelerator = self._trainer.accelerator
        local = torch.tensor([window.nll_sum, float(window.nll_rows)], device=accelerator.device)
        total, rows = accelerator.reduce(local, reduction="sum").tolist()
        return {"objective/nll": total / rows} if rows else {}

    def _refuse_unmeasurable(self) -> None:
        accelerator = self._trainer.accelerator
        kind = accelerator.distributed_type
        is_fsdp1 = kind == DistributedType.FSDP and not accelerator.is_fsdp2
        if self.weight.every and (kind == DistributedType.DEEPSPEED or is_fsdp1):
            name = "FSDP version 1" if is_fsdp1 else "DeepSpeed"
            raise ValueError(
                f"{name} keeps gradients where they cannot be measured, so mel_weight='grad_norm' and "
                "mel_measure_every need DDP or FSDP version 2; use one of these, or mel_weight='constant' with "
                "mel_measure_every=0 and a small mel_lambda"
            )


def row_logprobs(trainer: Any, model: Any, batch: RowBatch) -> Tensor:
    """Log-probability (R, T) of each target under the policy itself, that is at temperature 1.

    TRL's fused head never holds the logits but divides them by the sampling temperature; at any other than 1
    the targets' logits are computed in full.
    """
    width = batch.num_targets
    if trainer.temperature == 1.0:
        logp_RT, _, _ = trainer._get_per_token_logps_and_entropies(model, batch.ids_RL, batch.attention_RL, width)
        return logp_RT
    with trainer.accelerator.autocast():
        logits = model(
            input_ids=batch.ids_RL, attention_mask=batch.attention_RL, logits_to_keep=width + 1, use_cache=False
        ).logits
    return token_logprobs(logits[:, :-1], batch.ids_RL[:, -width:])


def _trained(model: Any) -> list[Tensor]:
    return [p for p in model.parameters() if p.requires_grad]
