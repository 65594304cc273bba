"""The policy as it was before training, where the trainer itself does not keep it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from accelerate.utils import is_peft_model
from trl.trainer.grpo_trainer import GRPOTrainer

from mel.methods import WHOLE_COPY


def initial_policy(trainer: GRPOTrainer) -> Any:
    """A frozen copy of the policy; None where the trainer has it already: as its reference, or without the adapter.

    It must be made before training, also before a checkpoint is loaded to go on from: the weights are then those that
    every session of a run begins with.

    Raises:
        ValueError: a policy that is sharded and cannot be copied.
    """
    of: Any = trainer
    policy = of.accelerator.unwrap_model(of.model)
    if of.ref_model is not None or is_peft_model(policy):
        return None
    if of.is_deepspeed_enabled or of.is_fsdp_enabled:
        raise ValueError(WHOLE_COPY)
    return copied(policy).to(of.accelerator.device).requires_grad_(False)


def copied(policy: Any) -> Any:
    """The same weights in a model of their own, without dropout."""
    found = deepcopy(policy)
    # What TRL and accelerate put in the place of `forward` still calls the original's after a copy.
    found.__dict__.pop("forward", None)
    return found.eval()
