"""What mel adds to an optimizer step: nothing without an auxiliary, and how much with one."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, median
from typing import Any

from benchmarks.workload import STOCK, WITHOUT, Run, run

RECIPES = ("recommended", "paper")


def interleaved(arms: Sequence[str], *, steps: int, repeats: int) -> dict[str, list[Run]]:
    """Runs of every arm, in turns whose order is reversed each time, so that a drift of the machine cancels."""
    found: dict[str, list[Run]] = {arm: [] for arm in arms}
    for repeat in range(repeats):
        for arm in arms if repeat % 2 == 0 else reversed(arms):
            found[arm].append(run(arm, steps=steps))
    return found


def step_ratio(runs: Sequence[Run], baseline: Sequence[Run], clock: str) -> dict[str, Any]:
    """Median over all steps of an arm's time over the baseline's at the same step of the same repetition.

    Args:
        clock: `step_s` (wall) or `cpu_s`.
    """
    ratios = [
        a / b
        for ours, theirs in zip(runs, baseline, strict=True)
        for a, b in zip(getattr(ours, clock), getattr(theirs, clock), strict=True)
    ]
    per_repeat = [sum(getattr(a, clock)) / sum(getattr(b, clock)) for a, b in zip(runs, baseline, strict=True)]
    return {"median_of_steps": median(ratios), "per_repeat": per_repeat}


def without_auxiliary(*, steps: int, repeats: int) -> dict[str, Any]:
    """MELTrainer without auxiliary against stock GRPOTrainer: same seed, same rollouts, same updates."""
    runs = interleaved((STOCK, WITHOUT), steps=steps, repeats=repeats)
    work = {arm: {r.tokens["rollout"] for r in found} for arm, found in runs.items()}
    if work[STOCK] != work[WITHOUT]:
        raise RuntimeError(f"the arms did not do the same work: tokens per step {work}")
    return {
        "steps": steps,
        "repeats": repeats,
        "tokens_per_step": work[STOCK].pop(),
        "seconds_per_step": {arm: mean(s for r in found for s in r.step_s) for arm, found in runs.items()},
        "cpu_seconds_per_step": {arm: mean(s for r in found for s in r.cpu_s) for arm, found in runs.items()},
        "wall": step_ratio(runs[WITHOUT], runs[STOCK], "step_s"),
        "cpu": step_ratio(runs[WITHOUT], runs[STOCK], "cpu_s"),
    }


def with_auxiliary(*, steps: int, repeats: int) -> dict[str, Any]:
    """The recipes against GRPO: time, generated and trained tokens per step, by phase."""
    runs = interleaved((WITHOUT, *RECIPES), steps=steps, repeats=repeats)
    table = {arm: _costs(found) for arm, found in runs.items()}
    base = table[WITHOUT]
    for arm in RECIPES:
        row = table[arm]
        row["wall"] = step_ratio(runs[arm], runs[WITHOUT], "step_s")
        row["cpu"] = step_ratio(runs[arm], runs[WITHOUT], "cpu_s")
        row["generated_ratio"] = row["generated"] / base["generated"]
        row["trained_ratio"] = row["trained"] / base["trained"]
    return {"steps": steps, "repeats": repeats, "arms": table}


def _costs(runs: Sequence[Run]) -> dict[str, Any]:
    tokens = _mean_of([r.tokens for r in runs])
    return {
        "seconds_per_step": mean(s for r in runs for s in r.step_s),
        "cpu_seconds_per_step": mean(s for r in runs for s in r.cpu_s),
        "seconds": _mean_of([r.seconds for r in runs]),
        "tokens": tokens,
        "generated": sum(tokens.get(phase, 0.0) for phase in ("rollout", "construct", "replay")),
        "trained": tokens["rollout"] + tokens.get("rows", 0.0),
    }


def _mean_of(tables: Sequence[dict[str, float]]) -> dict[str, float]:
    names = sorted({name for table in tables for name in table})
    return {name: mean(table.get(name, 0.0) for table in tables) for name in names}
