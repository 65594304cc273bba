"""What came of a study: its arms against the baseline at equal steps, tokens and wall time, for every combination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mel.evaluate.curves import Curve, area_under, cost_to_reach, score_at
from mel.evaluate.scores import Interval, bootstrap_macro_mean
from mel.record.ledger import Ledger
from mel.record.metric_names import EVALUATION, GENERATED, SECONDS, STEP
from mel.report.arms import Arm, Run
from mel.report.cell_states import FINISHED, CellState
from mel.report.comparison import Comparison, compare

PASS_AT_1 = "/pass_at_1"
"""Ending of the metric that a run logs between the evaluations before and after."""

COSINE = "objective/cosine"


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmSummary:
    """What the table of scores after training does not show of an arm.

    Intervals are bootstraps over the seeds that the arm and the baseline both have finished; with fewer than five
    they are too narrow. None: not measured, or the baseline itself.

    Args:
        seeds, asked: finished ones, and how many the study asks for.
        at_equal_tokens, at_equal_seconds: difference to the baseline in greedy Pass@1 on the first suite, each seed
            at the cost of the cheaper of the two runs.
        area: mean greedy Pass@1 on the first suite over the steps.
        to_target: mean cost in generated tokens of the runs that reached the target, and how many did.
        ledger: counts over the arm's runs.
        cosine: between policy and auxiliary gradient, mean over all steps.
    """

    name: str
    seeds: tuple[int, ...]
    asked: int
    at_equal_tokens: Interval | None
    at_equal_seconds: Interval | None
    area: Interval | None
    to_target: tuple[float, int] | None
    ledger: Ledger
    cosine: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PointResults:
    """The arms at one combination of axis values.

    Args:
        label: the axis values for a person; empty if the study has no axis.
        suite: the first suite, on which curves are measured; empty if none is.
    """

    label: str
    suite: str
    arms: tuple[Arm, ...]
    comparison: Comparison
    summaries: tuple[ArmSummary, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Results:
    """A study with its results.

    Args:
        order: names of the arms, the baseline first.
        commits: of mel, that the runs were made with.
        machine: where, and on how many cores.
        recipes: arm -> SHA-256 of its resolved recipe with the first seed.
        seconds: of training, over all finished cells.
        command: makes the study, and goes on with what is not finished.
    """

    name: str
    question: str
    target: float | None
    order: tuple[str, ...]
    cells: tuple[CellState, ...]
    points: tuple[PointResults, ...]
    commits: tuple[str, ...]
    machine: str
    recipes: Mapping[str, str]
    seconds: float
    command: str = ""

    @property
    def finished(self) -> int:
        """Cells that are."""
        return sum(cell.state == FINISHED for cell in self.cells)


def results_of(
    *,
    name: str,
    question: str,
    order: Sequence[str],
    target: float | None,
    cells: Sequence[CellState],
    runs: Mapping[CellState, Run],
    command: str = "",
) -> Results:
    """The results of the finished cells.

    Args:
        order: names of the arms, the baseline first.
        runs: of the finished cells.
        command: makes the study.
    """
    points = []  # in their order; values of axes may be lists, which no set holds
    for cell in cells:
        if cell in runs and cell.point not in points:
            points.append(cell.point)
    environments = [run.environment for run in runs.values()]
    return Results(
        name=name,
        question=question,
        target=target,
        order=tuple(order),
        cells=tuple(cells),
        points=tuple(_point(p, order, cells, runs, target) for p in points),
        commits=tuple(sorted({str(e.get("commit")) for e in environments if e.get("commit")})),
        machine=", ".join(sorted({f"{e.get('platform')}, {e.get('cores')} cores" for e in environments})),
        recipes={c.arm: str(runs[c].environment.get("recipe_sha256")) for c in reversed(cells) if c in runs},
        seconds=sum(run.last(SECONDS) or 0.0 for run in runs.values()),
        command=command,
    )


def _point(
    point: tuple[tuple[str, Any], ...],
    order: Sequence[str],
    cells: Sequence[CellState],
    runs: Mapping[CellState, Run],
    target: float | None,
) -> PointResults:
    here = [cell for cell in cells if cell.point == point]
    arms = []
    for name in order:
        found = tuple(runs[cell] for cell in here if cell.arm == name and cell in runs)
        if found:
            arms.append(Arm(name=name, runs=found))
    suite = next((s for arm in arms for run in arm.runs if (s := _first_suite(run))), "")
    # One run evaluates the untrained policy for all that begin from the same model.
    evaluated = [run for arm in arms for run in arm.runs if suite in run.before]
    starts = {_model(run): run.before[suite].pass_at_1 for run in reversed(evaluated)}
    by_name = {arm.name: {run.seed: _curves(run, suite, starts.get(_model(run))) for run in arm.runs} for arm in arms}
    asked = {name: sum(cell.arm == name for cell in here) for name in order}
    return PointResults(
        label=here[0].where,
        suite=suite,
        arms=tuple(arms),
        comparison=compare(arms),
        summaries=tuple(_summary(arm, asked[arm.name], by_name, by_name.get(order[0], {}), target) for arm in arms),
    )


Curves = Mapping[str, Curve]
"""Axis -> curve of greedy Pass@1 on the first suite."""


def _model(run: Run) -> str:
    """What training begins from."""
    model = run.recipe.get("model")
    return str(model.get("path") if isinstance(model, Mapping) else model)


def _first_suite(run: Run) -> str:
    names = [str(suite.get("name")) for suite in (run.recipe.get("evaluation") or {}).get("suites") or []]
    return names[0] if names else ""


def _curves(run: Run, suite: str, start: Interval | None) -> Curves:
    """From the untrained policy over the evaluations between to the trained one; a run without evaluations has none."""
    after = run.after[suite].pass_at_1 if suite in run.after else None
    found: dict[str, Curve] = {}
    for axis in (STEP, GENERATED, SECONDS):
        points = {0.0: start.value} if start else {}
        points |= dict(run.series(f"{EVALUATION}{suite}{PASS_AT_1}", axis))
        last = run.last(axis)
        if after and last is not None:
            points[last] = after.value
        found[axis] = sorted(points.items())
    return found


def _summary(
    arm: Arm,
    asked: int,
    curves: Mapping[str, Mapping[int | None, Curves]],
    baseline: Mapping[int | None, Curves],
    target: float | None,
) -> ArmSummary:
    ours = curves[arm.name]
    is_baseline = ours is baseline
    areas = [area for c in ours.values() if (area := area_under(c[STEP])) is not None]
    reached = [] if target is None else [cost_to_reach(c[GENERATED], target) for c in ours.values()]
    costs = [cost for cost in reached if cost is not None]
    cosines = [value for run in arm.runs for _, value in run.series(COSINE)]
    return ArmSummary(
        name=arm.name,
        seeds=tuple(run.seed for run in arm.runs if run.seed is not None),
        asked=asked,
        at_equal_tokens=None if is_baseline else _difference(ours, baseline, GENERATED),
        at_equal_seconds=None if is_baseline else _difference(ours, baseline, SECONDS),
        area=_mean(areas),
        to_target=(sum(costs) / len(costs), len(costs)) if costs else None,
        ledger=Ledger.sum(run.ledger for run in arm.runs),
        cosine=sum(cosines) / len(cosines) if cosines else None,
    )


def _difference(ours: Mapping[int | None, Curves], baseline: Mapping[int | None, Curves], axis: str) -> Interval | None:
    differences = []
    for seed in ours:
        a, b = ours[seed][axis], baseline.get(seed, {}).get(axis, [])
        if len(a) > 1 and len(b) > 1:
            cost = min(a[-1][0], b[-1][0])
            ahead, behind = score_at(a, cost), score_at(b, cost)
            if ahead is not None and behind is not None:
                differences.append(ahead - behind)
    return _mean(differences)


def _mean(values: Sequence[float]) -> Interval | None:
    return bootstrap_macro_mean([values]) if values else None
