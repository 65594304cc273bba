"""DAPO (arXiv 2503.14476): GRPO's advantages, token mean over the batch, clip range 0.2 / 0.28, overlong penalty.

Its dynamic sampling is the auxiliary `dynamic_sampling`, which goes with every carrier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field, model_validator

from mel.methods.carriers.grpo import Grpo, normalized
from mel.methods.declaration import CarrierSettings, Surroundings
from mel.ports import Carrier
from mel.types import Group, Rollout


class DapoSettings(CarrierSettings):
    """The overlong penalty, which is off unless `overlong_cache` is set (paper: 4096 of 20480 tokens)."""

    name: ClassVar[str] = "dapo"
    surrogate: ClassVar[str] = "dapo"

    overlong_cache: int | None = Field(
        default=None, ge=1, description="Tokens before the limit over which the penalty grows; null: no penalty."
    )
    overlong_weight: float = Field(
        default=0.5,
        ge=0,
        description="Weight of the penalty in the reward; 0.5 beside rewards of 0 and 1 is what 1 is beside the "
        "paper's -1 and 1.",
    )
    overlong_limit: int | None = Field(
        default=None, ge=1, description="Tokens at which the penalty is whole; null: the limit of the rollouts."
    )

    @model_validator(mode="after")
    def _has_a_penalty_to_shape(self) -> DapoSettings:
        fields = type(self).model_fields
        changed = [n for n in ("overlong_weight", "overlong_limit") if getattr(self, n) != fields[n].default]
        if self.overlong_cache is None and changed:
            raise ValueError(f"{changed[0]} shapes the penalty, which is off; set overlong_cache too, or leave it out")
        return self

    def build(self, at: Surroundings | None) -> Carrier:
        if self.overlong_cache is None:
            return Dapo()
        limit = self.overlong_limit or (at.rollout_max_tokens if at else None)
        if limit is None:
            raise ValueError("dapo.overlong_limit: expected the limit of the rollouts, for nothing else says it here")
        return Dapo(Overlong(limit=limit, cache=self.overlong_cache, weight=self.overlong_weight))


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlong:
    """The soft penalty on long rollouts (eq. 13), times a weight.

    Args:
        limit: L_max, in tokens.
        cache: L_cache, tokens before the limit.
    """

    limit: int
    cache: int
    weight: float

    def __post_init__(self) -> None:
        if self.cache > self.limit:
            raise ValueError(f"dapo.overlong_cache: expected at most the limit of {self.limit}, got {self.cache}")

    def of(self, tokens: int) -> float:
        """0 up to limit - cache, then falling linearly to -weight at the limit."""
        return -self.weight * min(max(tokens - (self.limit - self.cache), 0) / self.cache, 1.0)


class Dapo(Grpo):
    """A as GRPO, of rewards with the penalty; long rollouts weigh by their tokens.

    What is right stays what the verifier says: the penalty is in no verdict and in no logged reward.
    """

    name = DapoSettings.name
    surrogate = DapoSettings.surrogate
    needs_whole_batch = False

    def __init__(self, penalty: Overlong | None = None) -> None:
        self._penalty = penalty

    def advantages(self, groups: Sequence[Group]) -> list[list[float]]:
        return [normalized([self._shaped(rollout) for rollout in group.rollouts]) for group in groups]

    def _shaped(self, rollout: Rollout) -> float:
        return rollout.reward + (self._penalty.of(len(rollout.token_ids)) if self._penalty else 0.0)
