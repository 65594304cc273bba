"""The policy as it was before training, where the trainer itself does not keep it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from accelerate.utils import is_peft_model
from torch import Tensor
from trl.trainer.grpo_trainer import GRPOTrainer

from mel.methods import WHOLE_COPY


@dataclass(frozen=True, slots=True)
class InitialWeights:
    """The trained weights of an adapter as they were before training, by name; all others never change."""

    weights: Mapping[str, Tensor]

    @contextmanager
    def inside(self, policy: Any) -> Iterator[None]:
        """The policy has these weights inside, its own again afterwards. No pass inside may need a gradient."""
        named = dict(policy.named_parameters())
        own = {name: named[name].data for name in self.weights}
        try:
            for name, weight in self.weights.items():
                named[name].data = weight.to(named[name].device)
            yield
        finally:
            for name, weight in own.items():
                named[name].data = weight


def initial_policy(trainer: GRPOTrainer) -> Any:
    """A frozen copy of the policy; of one with an adapter `InitialWeights`; None where the trainer keeps it: as its
    reference, or, of a sharded policy, as the one without its adapter.

    It must be made before training, also before a checkpoint is loaded to go on from: the weights are then those that
    every session of a run begins with.

    Raises:
        ValueError: a policy that is sharded and cannot be copied.
    """
    of: Any = trainer
    policy = of.accelerator.unwrap_model(of.model)
    is_sharded = of.is_deepspeed_enabled or of.is_fsdp_enabled
    if is_peft_model(policy):
        # An adapter that was trained before, or whose first weights change the policy, differs from none.
        return None if is_sharded else InitialWeights(_trained(policy))
    if of.ref_model is not None:
        return None
    if is_sharded:
        raise ValueError(WHOLE_COPY)
    return copied(policy).to(of.accelerator.device).requires_grad_(False)


def copied(policy: Any) -> Any:
    """The same weights in a model of their own, without dropout."""
    found = deepcopy(policy)
    # What TRL and accelerate put in the place of `forward` still calls the original's after a copy.
    found.__dict__.pop("forward", None)
    return found.eval()


def _trained(policy: Any) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in policy.named_parameters() if weight.requires_grad}
