"""How much a rollout that TRL did not sample weighs in TRL's policy loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trl.trainer.grpo_config import GRPOConfig

from mel.step.changes import Share
from mel.types import Row

LOSSES = ("grpo", "dapo", "dr_grpo")
"""TRL's loss types in which a further rollout has a well-defined share: one clipped surrogate, one denominator."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyScale:
    """TRL divides by what it sampled; with groups that a method changed, the policy loss is a mean over those.

    Args:
        loss_type: of TRL.
        share: sizes over all ranks.
        max_tokens: limit of a completion, by which `dr_grpo` divides.
    """

    loss_type: str
    share: Share
    max_tokens: int

    @classmethod
    def of(cls, trainer: Any, share: Share, output: Mapping[str, Any]) -> PolicyScale:
        """The scale of a generation batch; `dapo` divides by the tokens that TRL itself counts."""
        counted = output.get("num_items_in_batch")
        if counted is not None and trainer.loss_type == "dapo":
            host = int(counted)
            share = Share(
                host_rollouts=share.host_rollouts,
                host_tokens=host,
                rollouts=share.rollouts,
                tokens=share.tokens + host - share.host_tokens,
            )
        return cls(loss_type=trainer.loss_type, share=share, max_tokens=trainer.max_completion_length or 1)

    @property
    def of_host(self) -> float:
        """What TRL's advantages are multiplied by; 1 where no group was changed."""
        if self.loss_type == "dapo":
            return self.share.host_tokens / max(self.share.tokens, 1)
        return self.share.host_rollouts / max(self.share.rollouts, 1)

    def of_row(self, row: Row) -> float:
        """What the summed token loss of a `policy` row is multiplied by."""
        if self.loss_type == "dapo":
            return row.weight / max(self.share.tokens, 1)
        if self.loss_type == "dr_grpo":
            return row.weight / (self.share.rollouts * self.max_tokens)
        return row.weight / (self.share.rollouts * sum(row.is_sampled))


def check_policy_rows(args: GRPOConfig, who: str, *, carrier: str) -> None:
    """Refuses settings under which an added rollout would not be learned as TRL learns its own.

    Raises:
        ValueError: naming the field and what it must be.
    """
    if args.loss_type not in LOSSES:
        raise ValueError(
            f"{who} adds rollouts to their groups, which needs loss_type {', '.join(LOSSES)}; got {args.loss_type!r}"
        )
    wanted: dict[str, Any] = {
        "beta": 0.0,
        "delta": None,
        "top_entropy_quantile": 1.0,
        "off_policy_mask_threshold": None,
        "mask_truncated_completions": False,
    }
    if args.use_vllm:
        # TRL multiplies its own tokens by this ratio; a row has none.
        wanted["vllm_importance_sampling_correction"] = False
    if carrier == "grpo":
        # Unchanged groups have TRL's own advantages and changed ones the carrier's: both must be the same.
        wanted |= {"scale_rewards": "group", "multi_objective_aggregation": "sum_then_normalize"}
    wrong = {k: getattr(args, k) for k, v in wanted.items() if getattr(args, k, v) != v}
    if wrong:
        raise ValueError(
            f"{who} adds rollouts to their groups, which these settings do not allow: {wrong}; use "
            f"{ {k: wanted[k] for k in wrong} }"
        )
