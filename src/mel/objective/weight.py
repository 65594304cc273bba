"""How strongly the auxiliary's rows count beside the policy loss: lambda, constant or matched to a gradient norm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, Protocol

Schedule = Literal["constant", "linear", "cosine"]
"""How the weight changes over a run: not at all (the paper), on a straight line, or along half a cosine."""


def scheduled(schedule: Schedule, progress: float, *, final: float = 0.0) -> float:
    """What lambda is multiplied by: 1 at the start of a run, and `final` at its end unless the schedule is constant.

    Args:
        progress: optimizer steps done over those of the run, 0 to 1.
    """
    if schedule == "constant":
        return 1.0
    left = 1.0 - progress if schedule == "linear" else (1.0 + math.cos(math.pi * progress)) / 2
    return final + (1.0 - final) * left


class Weight(Protocol):
    """A rule for lambda, asked once per optimizer step, told what was measured on measuring steps."""

    every: int
    """Optimizer steps between two measurements; 0: never measure."""

    @property
    def value(self) -> float | None:
        """Lambda for a step that measures nothing; None if a measurement is needed first."""
        ...

    def measured(self, *, policy_norm: float, auxiliary_norm: float) -> float:
        """Lambda for the step whose gradient norms these are (of the auxiliary at lambda = 1)."""
        ...

    def state(self) -> dict[str, float]: ...

    def restore(self, state: Mapping[str, float]) -> None: ...


class Constant:
    """lambda as given (the paper: 1). Measures only if asked, to log norms and cosine."""

    def __init__(self, value: float = 1.0, *, every: int = 0) -> None:
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"lambda: expected a finite number of at least 0, got {value}")
        if every < 0:
            raise ValueError(f"every: expected 0 (never measure) or a number of optimizer steps, got {every}")
        self.every = every
        self._value = value

    @property
    def value(self) -> float:
        return self._value

    def measured(self, *, policy_norm: float, auxiliary_norm: float) -> float:
        return self._value

    def state(self) -> dict[str, float]:
        return {}

    def restore(self, state: Mapping[str, float]) -> None:
        del state


class GradNorm:
    """lambda_t that keeps ||lambda_t * g_auxiliary|| = share * ||g_policy||.

    A measuring step is exact. Steps between measurements use the exponential mean of ||g_policy|| /
    ||g_auxiliary||, bias-corrected as in Adam so that the first measurement counts in full.

    Args:
        share: ratio of the norms to keep; at least 0.
        every: optimizer steps between measurements; at least 1.
        decay: of the exponential mean, 0 (last measurement only) to below 1.
    """

    def __init__(self, share: float, *, every: int = 1, decay: float = 0.9) -> None:
        if not (math.isfinite(share) and share >= 0):
            raise ValueError(f"share: expected a finite number of at least 0, got {share}")
        if every < 1:
            raise ValueError(f"every: expected at least 1 optimizer step between measurements, got {every}")
        if not 0 <= decay < 1:
            raise ValueError(f"decay: expected 0 <= decay < 1, got {decay}")
        self.every = every
        self.share = share
        self.decay = decay
        self._sum = 0.0
        self._mass = 0.0

    @property
    def value(self) -> float | None:
        return self.share * self._sum / self._mass if self._mass else None

    def measured(self, *, policy_norm: float, auxiliary_norm: float) -> float:
        """Exact lambda for this step; 0 where the norms say nothing (no auxiliary gradient, an overflow)."""
        if not (math.isfinite(policy_norm) and math.isfinite(auxiliary_norm)) or auxiliary_norm == 0:
            return 0.0
        ratio = policy_norm / auxiliary_norm
        self._sum = self.decay * self._sum + (1 - self.decay) * ratio
        self._mass = self.decay * self._mass + (1 - self.decay)
        return self.share * ratio

    def state(self) -> dict[str, float]:
        return {"sum": self._sum, "mass": self._mass}

    def restore(self, state: Mapping[str, float]) -> None:
        self._sum, self._mass = state["sum"], state["mass"]
