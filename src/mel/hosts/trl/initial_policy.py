"""The policy as it was before training, where the trainer itself does not keep it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from accelerate.utils import is_peft_model
from torch import Tensor
from trl.trainer.grpo_trainer import GRPOTrainer

from mel.methods import WHOLE_COPY, WHOLE_SAMPLER


@dataclass(frozen=True, slots=True)
class InitialWeights:
    """The trained weights, an adapter's or all, as they were before training, by name; the others never change."""

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


def initial_policy(trainer: GRPOTrainer, *, samples: bool) -> InitialWeights | None:
    """What the policy's weights were; None where the trainer keeps a policy to score with: as its reference, or, of a
    sharded policy, as the one without its adapter.

    It must be made before training, also before a checkpoint is loaded to go on from: the weights are then those that
    every session of a run begins with.

    Args:
        samples: rollouts come from it too, for which only weights in the policy's own place will do.

    Raises:
        ValueError: a policy that is sharded and cannot be copied.
    """
    of: Any = trainer
    policy = of.accelerator.unwrap_model(of.model)
    # An adapter that was trained before, or whose first weights change the policy, differs from none.
    has_adapter = is_peft_model(policy)
    if of.is_deepspeed_enabled or of.is_fsdp_enabled:
        if samples or not (has_adapter or of.ref_model is not None):
            raise ValueError(WHOLE_SAMPLER if samples else WHOLE_COPY)
        return None
    if of.ref_model is not None and not has_adapter and not samples:
        return None
    return InitialWeights(_trained(policy))


def _trained(policy: Any) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in policy.named_parameters() if weight.requires_grad}
