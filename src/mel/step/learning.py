"""How the rows of one auxiliary enter the optimizer step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from mel.objective.weight import GradNorm, Schedule, Weight

Reduction = Literal["row", "token"]
"""`row`: mean over a row's tokens, then over rows (eq. 7). `token`: mean over the tokens of all rows."""

Backward = Literal["joint", "separate"]
"""`joint`: in the policy's backward pass. `separate`: before it, in passes of their own."""


Conflict = Literal["keep", "project"]
"""Of rows whose gradient points against the policy's: add it as it is, or without the part that does (PCGrad)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowLearning:
    """One auxiliary's share in the optimizer step; every auxiliary has its own.

    Args:
        weight: the rule for lambda; it holds a running mean, so that no two auxiliaries may share one.
        schedule: how lambda changes from the first optimizer step to the last; multiplies what `weight` says.
        final: what is left of lambda at the end, 0 to 1, unless the schedule is constant.
        conflict: `project` compares the gradients in every step, so `weight` must measure in each.
        rows_per_backward: rows per separate backward pass.
    """

    weight: Weight = field(default_factory=lambda: GradNorm(3.0))
    schedule: Schedule = "constant"
    final: float = 0.0
    conflict: Conflict = "keep"
    reduction: Reduction = "row"
    backward: Backward = "separate"
    rows_per_backward: int = 16

    def __post_init__(self) -> None:
        for name, kind in (
            ("schedule", Schedule),
            ("conflict", Conflict),
            ("reduction", Reduction),
            ("backward", Backward),
        ):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(f"{name}: expected one of {', '.join(get_args(kind))}, got {getattr(self, name)!r}")
        if not 0.0 <= self.final <= 1.0:
            raise ValueError(f"final: expected a share of the weight from 0 to 1, got {self.final}")
        if self.schedule == "constant" and self.final != 0.0:
            raise ValueError(
                f"final: a constant schedule keeps all of the weight, got {self.final}: choose linear or cosine, or "
                "leave it out"
            )
        if self.conflict == "project" and self.weight.every != 1:
            raise ValueError(
                f"conflict: 'project' compares the gradients in every step; expected a weight that measures every 1, "
                f"got {self.weight.every}"
            )
        if self.rows_per_backward < 1:
            raise ValueError(f"rows_per_backward: expected at least 1, got {self.rows_per_backward}")
