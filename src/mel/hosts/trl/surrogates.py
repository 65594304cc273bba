"""Which GRPOConfig fields make TRL minimize a carrier's surrogate."""

from __future__ import annotations

from typing import Any

from trl.trainer.grpo_config import GRPOConfig

SURROGATES: dict[str, dict[str, Any]] = {
    # Plain GRPO stays TRL's own path, bit for bit: whatever loss_type the configuration names.
    "grpo": {},
    "dr_grpo": {"loss_type": "dr_grpo", "scale_rewards": "none"},
    "dapo": {"loss_type": "dapo", "epsilon_high": 0.28},
    "gspo": {"loss_type": "grpo", "importance_sampling_level": "sequence"},
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
