"""What mel adds to an optimizer step: nothing without an auxiliary, and how much with one."""

from __future__ import annotations

import random
from statistics import mean, median
from typing import Any

from benchmarks.workload import STOCK, WITHOUT, Run, run_in_turns

GATHER = (4, 8)
RECIPES = ("recommended", *(f"recommended/{batches}" for batches in GATHER), "paper")


def step_ratio(run: Run, baseline: Run, clock: str, *, block: int = 1) -> dict[str, float]:
    """Median over steps of an arm's time over the baseline's beside it, with its 95 % bootstrap interval.

    Args:
        clock: `step_s` (wall) or `cpu_s`.
        block: steps whose times are summed first: as many as batches are gathered, of whose steps one pays for all.
    """
    pairs = list(zip(getattr(run, clock), getattr(baseline, clock), strict=True))
    blocks = [pairs[i : i + block] for i in range(0, len(pairs) - block + 1, block)]
    ratios = [sum(a for a, _ in one) / sum(b for _, b in one) for one in blocks]
    draw = random.Random(0)
    medians = sorted(median(draw.choices(ratios, k=len(ratios))) for _ in range(2000))
    return {"median": median(ratios), "low": medians[50], "high": medians[1949]}


def without_auxiliary(*, steps: int) -> dict[str, Any]:
    """MELTrainer without auxiliary against stock GRPOTrainer: same seed, same rollouts, same updates.

    Raises:
        RuntimeError: they did not do the same work, so their times do not compare.
    """
    runs = run_in_turns((STOCK, WITHOUT), steps=steps)
    stock, ours = runs[STOCK], runs[WITHOUT]
    if stock.tokens["rollout"] != ours.tokens["rollout"]:
        raise RuntimeError(f"the arms did not do the same work: tokens per step {stock.tokens} and {ours.tokens}")
    return {
        "steps": steps,
        "tokens_per_step": stock.tokens["rollout"],
        "seconds_per_step": {run.arm: mean(run.step_s) for run in (stock, ours)},
        "wall": step_ratio(ours, stock, "step_s"),
        "cpu": step_ratio(ours, stock, "cpu_s"),
    }


def with_auxiliary(*, steps: int) -> dict[str, Any]:
    """The recipes against GRPO: time, generated and trained tokens per step, by phase."""
    runs = run_in_turns((WITHOUT, *RECIPES), steps=steps)
    table = {arm: _costs(run) for arm, run in runs.items()}
    base = table[WITHOUT]
    for arm in RECIPES:
        row = table[arm]
        row["wall"] = step_ratio(runs[arm], runs[WITHOUT], "step_s", block=max(GATHER))
        row["cpu"] = step_ratio(runs[arm], runs[WITHOUT], "cpu_s", block=max(GATHER))
        row["generated_ratio"] = row["generated"] / base["generated"]
        row["trained_ratio"] = row["trained"] / base["trained"]
    return {"steps": steps, "arms": table}


def _costs(run: Run) -> dict[str, Any]:
    return {
        "seconds_per_step": mean(run.step_s),
        "seconds": run.seconds,
        "tokens": run.tokens,
        "generated": sum(run.tokens.get(phase, 0.0) for phase in ("rollout", "construct", "replay")),
        "trained": run.tokens["rollout"] + run.tokens.get("rows", 0.0),
    }
