"""Run directories as a report sees them: runs of one recipe with different seeds form an arm."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mel.evaluate.result import EvaluationResult, read_result
from mel.record import Ledger, RunDirectory
from mel.record.run_directory import Status

STEP, TOKENS, SECONDS = "step", "tokens/generated", "time_s/total"

CUMULATIVE = (TOKENS, "tokens/trained", SECONDS)
"""Metrics that are sums over the run; every other one is about its step."""

GENERATED = ("tokens/rollout", "tokens/construct", "tokens/replay")

BEFORE, AFTER = "before-", "after-"
"""Prefixes of the evaluations of the untrained and the trained policy; a name without one counts as trained."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Everything a report needs of one run, read once.

    Args:
        seed: of the trainer; None if the recipe has none.
        metrics: one row per step, see `MetricsLog.read`.
        evaluations: finished ones, by name.
        unfinished: names of evaluations without a result yet.
    """

    path: Path
    name: str
    seed: int | None
    recipe: Mapping[str, Any]
    environment: Mapping[str, Any]
    status: Status
    metrics: tuple[Mapping[str, Any], ...]
    ledger: Ledger
    evaluations: Mapping[str, EvaluationResult]
    unfinished: tuple[str, ...]

    @property
    def label(self) -> str:
        """Name and seed."""
        return self.name if self.seed is None else f"{self.name}, seed {self.seed}"

    @property
    def before(self) -> dict[str, EvaluationResult]:
        """Suite -> result of the untrained policy."""
        return {n.removeprefix(BEFORE): r for n, r in self.evaluations.items() if n.startswith(BEFORE)}

    @property
    def after(self) -> dict[str, EvaluationResult]:
        """Suite -> result of the trained policy."""
        return {n.removeprefix(AFTER): r for n, r in self.evaluations.items() if not n.startswith(BEFORE)}

    @property
    def benchmarks(self) -> list[str]:
        """Suites that ask another task than the one trained on: the ones that are averaged."""
        return [name for name, result in self.after.items() if result.environment.get("is_benchmark")]

    def last(self, path: str) -> float | None:
        """The last value of a metric; None if it was never logged."""
        return next((float(row[path]) for row in reversed(self.metrics) if _is_number(row.get(path))), None)

    def total(self, path: str) -> float | None:
        """What a metric of tokens or seconds comes to over the run; None if it was never logged.

        A row of `tokens/<phase>` or `time_s/<phase>` is the mean per generation batch (`time_s/update`: per step)
        since the row before. How many batches a step has follows from the tokens generated in all.
        """
        if path in CUMULATIVE:
            return self.last(path)
        total = self._sum(path)
        generated, in_all = sum(self._sum(p) or 0.0 for p in GENERATED), self.last(TOKENS)
        if total is None or path == "time_s/update" or not generated or in_all is None:
            return total
        return total * in_all / generated

    def _sum(self, path: str) -> float | None:
        total, before = None, 0.0
        for row in self.metrics:
            if _is_number(row.get(path)):
                total = (total or 0.0) + (row[STEP] - before) * row[path]
                before = row[STEP]
        return total

    def series(self, path: str, axis: str = STEP) -> list[tuple[float, float]]:
        """(x, y) of every step that has both; x of tokens and seconds counts from the start of the run."""
        return [
            (float(row[axis]), float(row[path]))
            for row in self.metrics
            if _is_number(row.get(axis)) and _is_number(row.get(path))
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """Runs that differ in their seed only, in order of seed."""

    name: str
    runs: tuple[Run, ...]

    @property
    def seeds(self) -> tuple[int | None, ...]:
        return tuple(r.seed for r in self.runs)

    @property
    def is_model(self) -> bool:
        """The evaluation of a model that was not trained here: one for all seeds, whatever its recipe says."""
        return len(self.runs) == 1 and not self.runs[0].metrics


def read_run(path: str | Path) -> Run:
    """The run in that directory.

    Raises:
        ValueError: it is no run directory, or a part of it is damaged.
    """
    with RunDirectory.open(path) as directory:
        recipe = directory.recipe
        results, unfinished = {}, []
        for name, folder in directory.evaluations.items():
            if (folder / "result.json").is_file():
                results[name] = read_result(folder)
            else:
                unfinished.append(name)
        return Run(
            path=directory.path,
            name=str(recipe.get("name") or directory.path.name),
            seed=_seed(recipe),
            recipe=recipe,
            environment=directory.environment,
            status=directory.status,
            metrics=tuple(directory.metrics.read()),
            ledger=directory.experiences.ledger(),
            evaluations=results,
            unfinished=tuple(unfinished),
        )


def read_arms(paths: Sequence[str | Path]) -> list[Arm]:
    """The arms of these runs, in the order of their first runs.

    Runs of one name belong together if their recipes differ in nothing but seed and output; another recipe of the
    same name, or the same seed again, is an arm of its own, called by its directory.

    Raises:
        ValueError: no path, one path twice, or a path that is no run.
    """
    if not paths:
        raise ValueError("report: expected at least one run directory; got none")
    resolved = [Path(p).resolve() for p in paths]
    if len(set(resolved)) < len(resolved):
        raise ValueError("report: expected every run directory once; one was given twice")
    groups: dict[str, list[Run]] = {}
    for path in paths:
        run = read_run(path)
        key = _identity(run.recipe)
        if run.seed in [r.seed for r in groups.get(key, [])]:
            key = str(run.path)
        groups.setdefault(key, []).append(run)
    arms = [
        Arm(name=runs[0].name, runs=tuple(sorted(runs, key=lambda r: (r.seed is None, r.seed or 0))))
        for runs in groups.values()
    ]
    names = [arm.name for arm in arms]
    return [
        arm if names.count(arm.name) == 1 else Arm(name=f"{arm.name} ({arm.runs[0].path.name})", runs=arm.runs)
        for arm in arms
    ]


def _identity(recipe: Mapping[str, Any]) -> str:
    """The recipe without seed and output, as text."""
    trainer = {k: v for k, v in (recipe.get("trainer") or {}).items() if k not in ("seed", "data_seed")}
    return json.dumps({**recipe, "trainer": trainer, "output": None, "description": None}, sort_keys=True, default=str)


def _seed(recipe: Mapping[str, Any]) -> int | None:
    value = (recipe.get("trainer") or {}).get("seed")
    return value if isinstance(value, int) else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
