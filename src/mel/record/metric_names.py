"""The paths under which every run logs the same things, and how to tell what a path counts."""

from __future__ import annotations

from collections.abc import Mapping

STEP, GENERATED, TRAINED, SECONDS = "step", "tokens/generated", "tokens/trained", "time_s/total"

CUMULATIVE = (GENERATED, TRAINED, SECONDS)
"""Metrics that are sums over the run; every other one is about its step."""

EVALUATION = "evaluation/"
"""Prefix of the scores during training."""

NOT_GENERATED = ("rows", "rows_context", "generated", "trained", "diagnostics")
"""Words under which `tokens/` counts something else than what one phase of training generated."""

RESERVED_PHASES = ("rollout", "verify", "update", *NOT_GENERATED, "total", "step")
"""Words under which `tokens/` and `time_s/` already count something: no auxiliary may call a phase of its own so."""

LEARNED = ("tokens/rollout", "tokens/rows")
"""What the optimizer step reads as targets."""


def is_generated(path: str) -> bool:
    """Whether the metric counts tokens that some phase generated, whatever the phase is called."""
    room, _, phase = path.partition("/")
    return room == "tokens" and bool(phase) and phase not in NOT_GENERATED


def generated_in(row: Mapping[str, object]) -> float:
    """Tokens generated in all phases of a line of metrics, per generation batch."""
    return sum(float(value) for path, value in row.items() if is_generated(path) and isinstance(value, int | float))


def trained_in(row: Mapping[str, object]) -> float:
    """Tokens that were learned, per generation batch."""
    return sum(float(value) for path in LEARNED if isinstance(value := row.get(path), int | float))
