"""Arms side by side: each score with its interval, and the paired difference to the first arm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mel.evaluate.metrics import Interval, paired_difference_over_seeds
from mel.evaluate.result import EvaluationResult
from mel.report.arms import SECONDS, TOKENS, Arm

Scores = Callable[[EvaluationResult], Mapping[str, float]]

RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One score of one evaluation.

    Args:
        evaluation: name of the suite.
        label: `Pass@1`, `Avg@8`, ...
        scores: problem id -> score of a result.
    """

    evaluation: str
    label: str
    scores: Scores


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A score of an arm.

    Args:
        score: mean over seeds and problems; None if no run of the arm has it.
        difference: to the first arm over the seeds both have; None for that arm itself, or if nothing can be paired.
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
            tokens=_mean([r.last(TOKENS) for r in arm.runs]),
            seconds=_mean([r.last(SECONDS) for r in arm.runs]),
        )
        for arm in arms
    ]
    return Comparison(columns=tuple(columns), rows=(*before, *rows))


def _columns(arms: Sequence[Arm]) -> list[Column]:
    """Pass@1, Avg@k and Pass@k of every suite that some policy, trained or not, was evaluated on."""
    ks: dict[str, set[int]] = {}
    has_greedy: set[str] = set()
    for arm in arms:
        for run in arm.runs:
            for name, result in (*run.before.items(), *run.after.items()):
                ks.setdefault(name, set()).add(result.settings.k)
                has_greedy |= {name} if result.pass_at_1 else set()
    columns = []
    for name in sorted(ks, key=lambda n: (len(n), n)):
        if name in has_greedy:
            columns.append(Column(evaluation=name, label="Pass@1", scores=EvaluationResult.greedy_scores))
        # Runs that sampled different numbers of responses are comparable up to the smallest.
        k = min(ks[name])
        if k:
            columns.append(Column(evaluation=name, label=f"Avg@{k}", scores=EvaluationResult.average_scores))
            columns.append(Column(evaluation=name, label=f"Pass@{k}", scores=lambda r, k=k: r.pass_scores(k)))
    return columns


def _before(arms: Sequence[Arm], columns: Sequence[Column]) -> list[ResultRow]:
    """The untrained policy as a row of its own, from the first run that evaluated it."""
    for arm in arms:
        for run in arm.runs:
            found = run.before
            if found:
                cells = tuple(
                    Cell(score=_interval([c.scores(found[c.evaluation])]), num_seeds=1)
                    if c.evaluation in found
                    else Cell()
                    for c in columns
                )
                return [ResultRow(arm="before training", seeds=(), cells=cells, tokens=None, seconds=None)]
    return []


def _cell(arm: Arm, first: Arm, column: Column) -> Cell:
    ours = _tables(arm, column)
    score = _interval(list(ours.values()))
    baseline = _tables(first, column)
    shared = [seed for seed in ours if seed in baseline]
    if arm is first or not shared:
        return Cell(score=score, num_seeds=len(ours))
    return Cell(
        score=score,
        difference=_paired([ours[s] for s in shared], [baseline[s] for s in shared]),
        num_seeds=len(ours),
    )


def _tables(arm: Arm, column: Column) -> dict[int | None, Mapping[str, float]]:
    """Seed -> problem id -> score, of the runs that have it."""
    found = {r.seed: column.scores(r.after[column.evaluation]) for r in arm.runs if column.evaluation in r.after}
    return {seed: table for seed, table in found.items() if table}


def _interval(tables: Sequence[Mapping[str, float]]) -> Interval | None:
    """Mean over seeds and problems: the difference to nothing."""
    return _paired(tables, [dict.fromkeys(t, 0.0) for t in tables]) if any(tables) else None


def _paired(ours: Sequence[Mapping[str, float]], baseline: Sequence[Mapping[str, float]]) -> Interval | None:
    same = {frozenset(t) for t in (*ours, *baseline)}
    # Runs evaluated on other problems cannot be paired; the page then shows the scores alone.
    return paired_difference_over_seeds(ours, baseline, resamples=RESAMPLES) if len(same) == 1 else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None
