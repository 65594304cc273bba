"""The policy loss for a surrogate that TRL lacks: what `GRPOTrainer._compute_loss` does around the surrogate itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mel.objective.losses import policy_loss
from mel.objective.surrogates import Surrogate


def policy_loss_of(trainer: Any, model: Any, inputs: Mapping[str, Any], surrogate: Surrogate) -> Tensor:
    """The loss of one micro-step of rollouts, scaled for accumulation, with TRL's denominators.

    Args:
        inputs: as TRL prepared them.
    """
    mask_BT: Tensor = inputs["completion_mask"]
    logp_BT, entropy_BT, _ = trainer._get_per_token_logps_and_entropies(
        model,
        torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1),
        torch.cat([inputs["prompt_mask"], mask_BT], dim=1),
        mask_BT.size(1),
        compute_entropy=True,
    )
    advantages: Tensor = inputs["advantages"]
    loss, _ = policy_loss(
        logp_BT,
        inputs.get("old_per_token_logps"),
        (advantages if advantages.dim() == 2 else advantages[:, None]).expand_as(logp_BT),
        mask_BT.bool(),
        _scale_B(trainer, mask_BT, inputs),
        epsilon_low=trainer.epsilon_low,
        epsilon_high=trainer.epsilon_high,
        level=trainer.importance_sampling_level,
        surrogate=surrogate,
        correction_RT=inputs.get("importance_sampling_ratio"),
    )
    sums = torch.stack([(entropy_BT * mask_BT).sum(), mask_BT.sum().to(entropy_BT)])
    entropy, tokens = trainer.accelerator.reduce(sums, reduction="sum").tolist()
    trainer._metrics["train"]["entropy"].append(entropy / max(tokens, 1.0))
    return loss


def _scale_B(trainer: Any, mask_BT: Tensor, inputs: Mapping[str, Any]) -> Tensor:
    """What each rollout's summed token loss is multiplied by, under TRL's loss types."""
    accumulation = trainer.current_gradient_accumulation_steps
    if trainer.loss_type == "dapo":
        items = inputs["num_items_in_batch"].clamp(min=1.0) / trainer.accelerator.num_processes
        divisor_B = (items * accumulation / trainer.args.steps_per_generation).expand(len(mask_BT))
    elif trainer.loss_type == "dr_grpo":
        most = torch.tensor(float(trainer.max_completion_length), device=mask_BT.device)
        divisor_B = (most * len(mask_BT) * accumulation).expand(len(mask_BT))
    else:
        divisor_B = mask_BT.sum(1).clamp(min=1.0) * len(mask_BT) * accumulation
    return 1 / divisor_B


def check_own_loss(trainer: Any, surrogate: str) -> None:
    """Refuses what this loss leaves out and only the model or the trainer's arguments show.

    Raises:
        ValueError: with what to change.
    """
    if trainer.aux_loss_enabled or trainer._is_vlm or trainer.tools or trainer.environment_factories is not None:
        raise ValueError(
            f"the carrier's surrogate {surrogate!r} is no loss of TRL's and learns text rollouts of one turn, without "
            "a router's auxiliary loss; use another carrier for images, tools or environments, or set "
            "router_aux_loss_coef to 0"
        )
