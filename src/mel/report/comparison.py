"""Arms side by side: each score with its interval, and the paired difference to the first arm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mel.evaluate.result import CLEAN, EvaluationResult
from mel.evaluate.scores import Interval, macro_paired_difference
from mel.record.metric_names import GENERATED, SECONDS
from mel.report.arms import Arm

Table = Mapping[str, float]
"""Problem id -> score."""

RESAMPLES = 1000

WIDE = 6
"""Scores that stand side by side at most; of more of them each is a row, and the arms are columns."""

AVERAGE = "average"


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One score of one evaluation, or its average over several.

    Args:
        evaluation: heading of the column's group.
        label: `Pass@1`, `Avg@8`, ...
        suites: names of the evaluations; several are averaged, each weighing the same.
        scores: table of a result.
        left_out: suite -> ids of its problems that do not count; another suite may have other problems of these ids.
    """

    evaluation: str
    label: str
    suites: tuple[str, ...]
    scores: Callable[[EvaluationResult], Table]
    left_out: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def tables(self, results: Mapping[str, EvaluationResult]) -> list[Table]:
        """One table per suite; none if a suite is missing or has no such score."""
        found = [self._table(suite, results[suite]) for suite in self.suites if suite in results]
        return found if len(found) == len(self.suites) and all(found) else []

    def _table(self, suite: str, result: EvaluationResult) -> Table:
        out = self.left_out.get(suite, frozenset())
        return {p: score for p, score in self.scores(result).items() if p not in out}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A score of an arm.

    Args:
        score: mean over seeds and problems; None if no run of the arm has it.
        difference: to the first arm over the seeds both have, and a model that was not trained here has all; None for
            that arm itself, or if nothing can be paired.
        num_seeds: runs in the score.
    """

    score: Interval | None = None
    difference: Interval | None = None
    num_seeds: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultRow:
    """An arm with its scores, one cell per column, and what its training cost per run on average.

    Args:
        tokens: generated in training; None if it was not logged.
        seconds: of training.
    """

    arm: str
    seeds: tuple[int | None, ...]
    cells: tuple[Cell, ...]
    tokens: float | None
    seconds: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The results table; columns are grouped by evaluation."""

    columns: tuple[Column, ...]
    rows: tuple[ResultRow, ...]


def compare(arms: Sequence[Arm]) -> Comparison:
    """The results of these arms; differences are to the first one, paired by seed and problem."""
    columns = _columns(arms)
    before = _before(arms, columns)
    rows = [
        ResultRow(
            arm=arm.name,
            seeds=arm.seeds,
            cells=tuple(_cell(arm, arms[0], column) for column in columns),
            tokens=_mean([r.last(GENERATED) for r in arm.runs]),
            seconds=_mean([r.last(SECONDS) for r in arm.runs]),
        )
        for arm in arms
    ]
    return Comparison(columns=tuple(columns), rows=(*before, *rows))


def _columns(arms: Sequence[Arm]) -> list[Column]:
    """Pass@1, Avg@k and Pass@k of every suite that some policy, trained or not, was evaluated on, then the averages.

    A suite with problems that some training set contains has a second group of columns without them.
    """
    found: dict[str, list[EvaluationResult]] = {}
    for arm in arms:
        for run in arm.runs:
            for name, result in (*run.before.items(), *run.after.items()):
                found.setdefault(name, []).append(result)
    benchmarks = list(dict.fromkeys(name for arm in arms for run in arm.runs for name in run.benchmarks))
    contained = {name: frozenset(p for r in results for p in r.contained or ()) for name, results in found.items()}
    columns: list[Column] = []
    for name in sorted(found, key=lambda n: (len(n), n)):
        columns += _group(name, (name,), found[name])
        if contained[name]:
            columns += _group(f"{name}{CLEAN}", (name,), found[name], left_out=contained)
    if len(benchmarks) > 1 and set(benchmarks) <= set(found):
        everything = [result for name in benchmarks for result in found[name]]
        columns += _group(AVERAGE, tuple(benchmarks), everything)
        if any(contained[name] for name in benchmarks):
            columns += _group(f"{AVERAGE}{CLEAN}", tuple(benchmarks), everything, left_out=contained)
    return columns


def _group(
    title: str,
    suites: tuple[str, ...],
    results: Sequence[EvaluationResult],
    *,
    left_out: Mapping[str, frozenset[str]] | None = None,
) -> list[Column]:
    kinds: list[tuple[str, Callable[[EvaluationResult], Table]]] = []
    if any(r.pass_at_1 for r in results):
        kinds.append(("Pass@1", EvaluationResult.greedy_scores))
    # Runs that sampled different numbers of responses are comparable up to the smallest.
    k = min(r.settings.k for r in results)
    if k:
        kinds.append((f"Avg@{k}", EvaluationResult.average_scores))
    if k > 1:  # of one sample they are the same
        kinds.append((f"Pass@{k}", lambda r: r.pass_scores(k)))
    return [Column(evaluation=title, label=n, suites=suites, scores=s, left_out=left_out or {}) for n, s in kinds]


def _before(arms: Sequence[Arm], columns: Sequence[Column]) -> list[ResultRow]:
    """The untrained policy as a row of its own, from the first run that evaluated it."""
    for arm in arms:
        for run in arm.runs:
            if run.before:
                cells = tuple(_alone([c.tables(run.before)]) for c in columns)
                return [ResultRow(arm="before training", seeds=(), cells=cells, tokens=None, seconds=None)]
    return []


def _cell(arm: Arm, first: Arm, column: Column) -> Cell:
    ours, baseline = _by_seed(arm, column), _by_seed(first, column)
    alone = _alone(list(ours.values()))
    if first.is_model:
        baseline = _for_all(ours, baseline)
    elif arm.is_model:
        ours = _for_all(baseline, ours)
    shared = [seed for seed in ours if seed in baseline]
    if arm is first or not shared:
        return alone
    return replace(alone, difference=_paired([ours[s] for s in shared], [baseline[s] for s in shared]))


def _for_all(seeds: Iterable[int | None], found: Mapping[int | None, list[Table]]) -> dict[int | None, list[Table]]:
    """The tables of the one run there is, for each of these seeds; none if it has none."""
    return {seed: tables for tables in found.values() for seed in seeds}


def _by_seed(arm: Arm, column: Column) -> dict[int | None, list[Table]]:
    """Seed -> one table per suite, of the runs that have all of them."""
    found = {run.seed: column.tables(run.after) for run in arm.runs}
    return {seed: tables for seed, tables in found.items() if tables}


def _alone(runs: Sequence[Sequence[Table]]) -> Cell:
    """Mean over seeds and problems, computed as the difference to scores of zero."""
    if not any(runs):
        return Cell()
    zeros = [[dict.fromkeys(table, 0.0) for table in tables] for tables in runs]
    return Cell(score=_paired(runs, zeros), num_seeds=len(runs))


def _paired(ours: Sequence[Sequence[Table]], baseline: Sequence[Sequence[Table]]) -> Interval | None:
    """Per seed one table per suite on both sides."""
    by_suite = list(zip(zip(*ours, strict=True), zip(*baseline, strict=True), strict=True))
    # Runs evaluated on other problems cannot be paired; the page then shows the scores alone.
    if any(len({frozenset(t) for t in (*a, *b)}) > 1 for a, b in by_suite):
        return None
    return macro_paired_difference(by_suite, resamples=RESAMPLES)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None
