"""Rows in the optimizer step: their loss, their backward pass, and each auxiliary's lambda from measured gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate.utils import DistributedType
from torch import Tensor
from trl.trainer.grpo_trainer import GRPOTrainer

from mel.hosts.trl.row_losses import loss_of
from mel.hosts.trl.sync import gradient_sync
from mel.objective.gradients import Gradients, add, compare, projected, scale, take, without
from mel.objective.losses import micro_step_factor
from mel.objective.randomness import own_stream
from mel.objective.rows import RowBatch
from mel.objective.weight import scheduled
from mel.step import Key, RowLearning

Slot = Mapping[Key, RowBatch]
"""Rows of one micro-step, by auxiliary and term; the same keys on every rank."""


@dataclass(kw_only=True, slots=True)
class _Part:
    """One auxiliary in one optimizer step: lambda if known in advance, and its gradient where that is set aside.

    Args:
        share: what the schedule leaves of lambda in this step.
        compared: its gradient at lambda = 1, where that is only looked at and learned as always.
    """

    lambda_: float
    share: float = 1.0
    is_measured: bool = False
    set_aside: Gradients | None = None
    compared: Gradients | None = None
    nll_sum: float = 0.0
    nll_rows: int = 0
    has_rows: bool = False

    @property
    def is_due(self) -> bool:
        """Its rows are learned micro-step by micro-step, at a lambda that is known."""
        return self.set_aside is None and self.lambda_ > 0


@dataclass(kw_only=True, slots=True)
class _Window:
    """State of one optimizer step."""

    is_compared: bool = False
    parts: dict[str, _Part] = field(default_factory=dict)


class RowUpdate:
    """Adds `lambda * rows' loss` of every auxiliary to the gradient of every optimizer step.

    On a measuring step an auxiliary's rows of the whole step are run first, at lambda = 1 and synchronized over ranks;
    their gradient is set aside, the policy's accumulates as if there were no rows, and after the last micro-step, when
    all are known exactly, lambda times the first is added to the second. Only `.grad` is read and written, so it
    holds under accumulation, DDP, LoRA and FSDP2. No forward or backward pass is spent on measuring.

    Where gradients are only compared, the rows go through an extra backward pass whose gradient is looked at and
    dropped, so that every bit of what is learned stays as it was.

    Policy rows, which belong to no auxiliary, are a part of the policy loss and of its gradient.

    Args:
        learning: of every auxiliary, by name.
        compare_every: optimizer steps between two comparisons of gradients for a diagnosis; 0: none.

    Raises:
        ValueError: a distributed setup whose gradients cannot be measured.
    """

    def __init__(self, trainer: GRPOTrainer, learning: Mapping[str, RowLearning], *, compare_every: int = 0) -> None:
        self._trainer: Any = trainer
        self.learning = learning
        self._compare_every = compare_every
        self._window: _Window | None = None
        self._refuse_unmeasurable()

    def before_policy(self, model: Any, slots: Sequence[Slot]) -> None:
        """Everything that comes before the policy loss of a micro-step.

        Args:
            slots: rows of this micro-step, then of those after it; looked at beyond the first only at the start
                of an optimizer step, when it must be as long as that has micro-steps.
        """
        if self._window is None:
            self._open(model, slots)
        for name, part in self._parts():
            if part.is_due and self.learning[name].backward == "separate":
                self._separate(model, name, _of(slots[0], name), part.lambda_, sync_last=False)

    def joint_loss(self, model: Any, slot: Slot) -> Tensor | None:
        """What to add to the policy loss of this micro-step, if anything."""
        losses = [self._loss(model, "", batch) for batch in _of(slot, "")]
        for name, part in self._parts():
            if part.is_due and self.learning[name].backward == "joint":
                losses += [part.lambda_ * self._loss(model, name, batch) for batch in _of(slot, name)]
        return torch.stack(losses).sum() if losses else None

    def after_micro_step(self, model: Any) -> dict[str, float]:
        """Finishes the optimizer step if this was its last micro-step; returns what was measured."""
        window = self._window
        if window is None or not self._trainer.accelerator.sync_gradients:
            return {}
        self._window = None
        measured = self._finish(model, window)
        metrics: dict[str, float] = {}
        for name, part in window.parts.items():
            prefix = f"objective/{name}/" if len(self.learning) > 1 else "objective/"
            found = measured.get(name, {})
            if part.has_rows:
                found = {"lambda": part.lambda_, **self._nll(part), **found}
            metrics |= {prefix + key: value for key, value in found.items()}
        return metrics

    def _open(self, model: Any, slots: Sequence[Slot]) -> None:
        state = self._trainer.state
        is_compared = bool(self._compare_every) and state.global_step % self._compare_every == 0
        self._window = window = _Window(is_compared=is_compared)
        progress = state.global_step / max(state.max_steps, 1)
        batches = {name: [batch for slot in slots for batch in _of(slot, name)] for name in self.learning}
        for name, learning in self.learning.items():
            known, every = learning.weight.value, learning.weight.every
            is_due = bool(every) and (state.global_step % every == 0 or known is None)
            share = scheduled(learning.schedule, progress, final=learning.final)
            window.parts[name] = _Part(
                lambda_=share * (known or 0.0),
                share=share,
                is_measured=is_due and bool(batches[name]),
                has_rows=bool(batches[name]),
            )
        # Where one is measured all are set aside, or another's rows would pass for the policy's gradient.
        if any(part.is_measured for part in window.parts.values()):
            for name, part in window.parts.items():
                part.set_aside = self._alone(model, name, batches[name])
        elif is_compared:
            self._look_at(model, batches)

    def _alone(self, model: Any, name: str, batches: Sequence[RowBatch]) -> Gradients | None:
        """The gradient of an auxiliary's rows of the whole step, at lambda = 1; None without rows."""
        if not batches:
            return None
        self._separate(model, name, batches, 1.0, sync_last=True)
        return take(_trained(model), copy=getattr(model, "gradient_as_bucket_view", False))

    def _look_at(self, model: Any, batches: Mapping[str, Sequence[RowBatch]]) -> None:
        """An extra pass for each auxiliary's gradient, behind which all is as if there had been none."""
        window, self._window = self._window, None  # so that what is logged of the rows is not counted twice
        state, rank = self._trainer.state, self._trainer.accelerator.process_index
        with own_stream(self._trainer.args.seed, "gradients", state.global_step, rank):
            compared = {name: self._alone(model, name, of_one) for name, of_one in batches.items()}
        self._window = window
        for name, part in self._parts():
            part.compared = compared[name]

    def _parts(self) -> list[tuple[str, _Part]]:
        return list(self._window.parts.items()) if self._window is not None else []

    def _separate(self, model: Any, name: str, batches: Sequence[RowBatch], factor: float, *, sync_last: bool) -> None:
        chunks = [chunk for batch in batches for chunk in batch.chunks(self.learning[name].rows_per_backward)]
        accelerator = self._trainer.accelerator
        # DeepSpeed would otherwise scale by its own accumulation setting; TRL's losses are finished already.
        kwargs = {"scale_wrt_gas": False} if accelerator.distributed_type == DistributedType.DEEPSPEED else {}
        # FSDP2 keeps whole gradients until it reduces them, so whoever asks for a reduction each time gets it here too.
        each = accelerator.gradient_state.plugin_kwargs.get("sync_each_batch", False)
        for i, chunk in enumerate(chunks):
            with gradient_sync(model, accelerator, enabled=each or (sync_last and i == len(chunks) - 1)):
                accelerator.backward(factor * self._loss(model, name, chunk), **kwargs)

    def _loss(self, model: Any, name: str, batch: RowBatch) -> Tensor:
        trainer = self._trainer
        loss, nll_R = loss_of(trainer, model, batch.to(trainer.accelerator.device))
        part = self._window.parts.get(name) if self._window is not None else None
        if part is not None and batch.term == "nll":
            is_real_R = batch.is_real_R.to(nll_R.device)
            part.nll_sum += float((nll_R * is_real_R).sum())
            part.nll_rows += int(is_real_R.sum())
        factor = micro_step_factor(
            num_ranks=trainer.accelerator.num_processes,
            num_slots=trainer.args.steps_per_generation,
            accumulation=trainer.current_gradient_accumulation_steps,
        )
        return factor * loss

    def _finish(self, model: Any, window: _Window) -> dict[str, dict[str, float]]:
        """Adds the gradients that were set aside; all are compared with the policy's before any is added to it."""
        parameters = _trained(model)
        policy = without([p.grad for p in parameters], [(p.compared, p.lambda_) for p in window.parts.values()])
        found = {
            name: compare(policy, gradient)
            for name, part in window.parts.items()
            if (gradient := part.set_aside or part.compared) and (part.is_measured or window.is_compared)
        }
        scaler = self._trainer.accelerator.scaler
        unscale = 1.0 / scaler.get_scale() if scaler is not None else 1.0
        metrics: dict[str, dict[str, float]] = {}
        for name, of_gradients in found.items():
            part, weight = window.parts[name], self.learning[name].weight
            policy_norm, auxiliary_norm = of_gradients.left_norm * unscale, of_gradients.right_norm * unscale
            if part.is_measured:
                part.lambda_ = part.share * weight.measured(policy_norm=policy_norm, auxiliary_norm=auxiliary_norm)
            metrics[name] = {
                "cosine": of_gradients.cosine,
                "grad_norm_policy": policy_norm,
                "grad_norm_auxiliary": auxiliary_norm,
            }
        # A gradient that is projected takes nothing of the policy's away, which is the same as giving that back.
        conflicts = [n for n in found if window.parts[n].is_measured and self.learning[n].conflict == "project"]
        scale(parameters, 1.0 + sum(window.parts[name].lambda_ * projected(found[name]) for name in conflicts))
        for part in window.parts.values():
            if part.set_aside is not None:
                add(parameters, part.set_aside, factor=part.lambda_)
        return metrics

    def _nll(self, part: _Part) -> dict[str, float]:
        accelerator = self._trainer.accelerator
        local = torch.tensor([part.nll_sum, float(part.nll_rows)], device=accelerator.device)
        total, rows = accelerator.reduce(local, reduction="sum").tolist()
        return {"nll": total / rows} if rows else {}

    def _refuse_unmeasurable(self) -> None:
        accelerator = self._trainer.accelerator
        kind = accelerator.distributed_type
        is_fsdp1 = kind == DistributedType.FSDP and not accelerator.is_fsdp2
        is_measured = self._compare_every or any(one.weight.every for one in self.learning.values())
        if is_measured and (kind == DistributedType.DEEPSPEED or is_fsdp1):
            name = "FSDP version 1" if is_fsdp1 else "DeepSpeed"
            raise ValueError(
                f"{name} keeps gradients where they cannot be measured, so mel_weight='grad_norm' and a diagnosis of "
                "gradients need DDP or FSDP version 2; use one of these, or mel_weight='constant' with a small "
                "mel_lambda and no such diagnosis"
            )


def _of(slot: Slot, name: str) -> list[RowBatch]:
    """The batches of one auxiliary in a slot, one per term; the policy's own have no name."""
    return [batch for (auxiliary, _), batch in slot.items() if auxiliary == name]


def _trained(model: Any) -> list[Tensor]:
    return [p for p in model.parameters() if p.requires_grad]
