"""Run directories as a report sees them: runs of one recipe with different seeds form an arm."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mel.evaluate.result import EvaluationResult, read_result
from mel.record import Ledger, RunDirectory
from mel.record.metric_names import CUMULATIVE, GENERATED, STEP, generated_in
from mel.record.run_directory import AFTER, BEFORE, Status

UPDATE = "time_s/update"


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Everything a report needs of one run, read once.

    Args:
        seed: of the trainer; None if the recipe has none.
        state: of the status, or `interrupted`.
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
    state: str
    metrics: tuple[Mapping[str, Any], ...]
    ledger: Ledger
    evaluations: Mapping[str, EvaluationResult]
    unfinished: tuple[str, ...]

    @property
    def label(self) -> str:
        """Name and seed."""
        return label_of(self.name, self.seed)

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

    @property
    def rates(self) -> list[str]:
        """Paths of the rates that the run's auxiliaries declare, whatever they are called."""
        declared = self.environment.get("rates") or {}
        return [f"{namespace}/{name}" for namespace, names in declared.items() for name in names]

    def last(self, path: str) -> float | None:
        """The last value of a metric; None if it was never logged."""
        return next((float(row[path]) for row in reversed(self.metrics) if _is_number(row.get(path))), None)

    def total(self, path: str) -> float | None:
        """What a metric of tokens or seconds comes to over the run; None if it was never logged.

        A row of `tokens/<phase>` or `time_s/<phase>` is the mean per generation batch since the row before, and
        `time_s/update` the mean per step. How many batches a row stands for follows from the tokens generated so far.
        """
        if path in CUMULATIVE:
            return self.last(path)
        known = [row for row in self.metrics if _is_number(row.get(path))]
        if not known:
            return None
        if path == UPDATE:
            steps = [0.0, *(row[STEP] for row in known)]
            return sum((row[STEP] - before) * row[path] for row, before in zip(known, steps, strict=False))
        return sum(batches * row[path] for row, batches in self._batches() if _is_number(row.get(path)))

    def _batches(self) -> Iterator[tuple[Mapping[str, Any], float]]:
        """Every row that generated something, with the number of generation batches that it is the mean of."""
        so_far = 0.0
        for row in self.metrics:
            per_batch = generated_in(row)
            if per_batch and _is_number(row.get(GENERATED)):
                yield row, (row[GENERATED] - so_far) / per_batch
                so_far = row[GENERATED]

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
            seed=seed_of(recipe),
            recipe=recipe,
            environment=directory.environment,
            status=directory.status,
            state=directory.state_now,
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
    """The recipe without seed and output, as text.

    Nor does it matter whether the untrained policy is evaluated: in a study one run does so for all.
    """
    trainer = {k: v for k, v in (recipe.get("trainer") or {}).items() if k not in ("seed", "data_seed")}
    evaluation = {k: v for k, v in (recipe.get("evaluation") or {}).items() if k != "before"}
    same = {**recipe, "trainer": trainer, "evaluation": evaluation, "output": None, "description": None}
    return json.dumps(same, sort_keys=True, default=str)


def label_of(name: str, seed: int | None) -> str:
    """Name and seed, as a person tells runs apart."""
    return name if seed is None else f"{name}, seed {seed}"


def seed_of(recipe: Mapping[str, Any]) -> int | None:
    """The trainer's seed; None if the recipe has none."""
    value = (recipe.get("trainer") or {}).get("seed")
    return value if isinstance(value, int) else None


def _is_number(value: object) -> bool:
    """Whether a value can be drawn and summed: of a run that diverged some are not finite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
