"""Which GRPOConfig fields make TRL minimize a carrier's surrogate, and which surrogates this host brings itself."""

from __future__ import annotations

from functools import partial
from typing import Any

from trl.trainer.grpo_config import GRPOConfig

from mel.hosts.trl.policy_rows import LOSSES
from mel.objective import surrogates
from mel.objective.surrogates import Surrogate
from mel.ports import Carrier, Shaped

SURROGATES: dict[str, dict[str, Any]] = {
    # Plain GRPO stays TRL's own path, bit for bit: whatever loss_type the configuration names.
    "grpo": {},
    "dr_grpo": {"loss_type": "dr_grpo", "scale_rewards": "none"},
    "dapo": {"loss_type": "dapo", "epsilon_high": 0.28},
    "gspo": {"loss_type": "grpo", "importance_sampling_level": "sequence"},
    # Not one of TRL's: `policy_loss` computes it, and what that leaves out must be off.
    "maspo": {
        "importance_sampling_level": "token",
        "delta": None,
        "top_entropy_quantile": 1.0,
        "off_policy_mask_threshold": None,
        "beta": 0.0,
        "entropy_coef": 0.0,
        "use_adaptive_entropy": False,
    },
}
"""Surrogate of a carrier -> the fields it needs; advantages are the carrier's own and not TRL's business."""


def surrogate_fields(surrogate: str) -> dict[str, Any]:
    """The GRPOConfig fields of that surrogate, for whoever builds the configuration.

    Raises:
        ValueError: this host has no such surrogate.
    """
    if surrogate not in SURROGATES:
        raise ValueError(f"the TRL host knows the surrogates {', '.join(SURROGATES)}; got {surrogate!r}")
    return dict(SURROGATES[surrogate])


def check_surrogate(args: GRPOConfig, surrogate: str) -> None:
    """Refuses a configuration that would minimize another surrogate than the carrier's.

    Raises:
        ValueError: naming the fields to set.
    """
    wrong = {k: v for k, v in surrogate_fields(surrogate).items() if getattr(args, k) != v}
    if wrong:
        found = {k: getattr(args, k) for k in wrong}
        raise ValueError(f"the carrier's surrogate {surrogate!r} needs {wrong} in the configuration; found {found}")
    if surrogate in surrogates.SURROGATES and args.loss_type not in LOSSES:
        raise ValueError(
            f"the carrier's surrogate {surrogate!r} is no loss of TRL's and knows the denominators of loss_type "
            f"{', '.join(LOSSES)}; got {args.loss_type!r}"
        )


def own_surrogate(carrier: Carrier) -> Surrogate | None:
    """The carrier's surrogate where TRL has no such loss; None where the fields above make TRL minimize it."""
    if carrier.surrogate not in surrogates.SURROGATES:
        return None
    settings = carrier.surrogate_settings if isinstance(carrier, Shaped) else {}
    return partial(surrogates.SURROGATES[carrier.surrogate], **settings)
