"""The curves of a page: which metrics are drawn, in which groups, with what interval, and what is left as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

from mel.evaluate.scores import exact_bootstrap_mean
from mel.record.metric_names import EVALUATION, GENERATED, SECONDS, STEP
from mel.report import charts
from mel.report.arms import Arm
from mel.report.words import OBJECTIVE, Words, is_counted_elsewhere

AXES = ((STEP, "steps"), (GENERATED, "generated tokens"), (SECONDS, "seconds"))

REWARDS = ("reward/mean", "reward/groups_mixed")

BAND_POINTS = 48
"""Of one interval along a curve."""

MOST_EXACT = 1_000
"""Different draws of seeds up to which the bootstrap is computed exactly; above it the interval is left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """A chart of the page: the same metric against each axis that the runs logged."""

    path: str
    title: str
    note: str
    by_axis: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class CurveGroup:
    """Charts that belong together."""

    title: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """A metric that is not drawn: of each arm the mean over the first and over the last fifth of its lines."""

    path: str
    title: str
    note: str
    values: tuple[tuple[float, float] | None, ...]


def axes_of(arms: Sequence[Arm]) -> list[tuple[str, str]]:
    """The axes that some run logged."""
    return [(axis, name) for axis, name in AXES if any(axis in row for a in arms for r in a.runs for row in r.metrics)]


def curve_groups(arms: Sequence[Arm], words: Words) -> list[CurveGroup]:
    """Rewards, scores along the way, the declared rates, and the objective with its gradients."""
    logged = logged_by(arms)
    rates = [path for arm in arms for run in arm.runs for path in run.rates]
    groups = {
        "Reward": REWARDS,
        "Scores during training": [path for path in logged if path.startswith(EVALUATION)],
        "Rates of the auxiliaries": dict.fromkeys(rates),
        "Objective and gradients": [path for path in logged if path.startswith(OBJECTIVE)],
    }
    found = []
    for title, paths in groups.items():
        curves = [curve for path in paths if (curve := _curve(arms, path, words)).by_axis]
        if curves:
            found.append(CurveGroup(title=title, curves=tuple(curves)))
    return found


def other_measurements(arms: Sequence[Arm], words: Words) -> list[Measured]:
    """Every metric that has no curve and no part of its own, whoever logged it."""
    drawn = {*REWARDS, *(path for arm in arms for run in arm.runs for path in run.rates)}
    found = []
    for path in logged_by(arms):
        if path in drawn or path.startswith(OBJECTIVE) or is_counted_elsewhere(path):
            continue
        values = tuple(_ends([run.series(path) for run in arm.runs]) for arm in arms)
        title, note = words.of(path)
        if any(values):
            found.append(Measured(path=path, title=title, note=note, values=values))
    return sorted(found, key=lambda m: ("/" in m.path, m.path))


def logged_by(arms: Sequence[Arm]) -> list[str]:
    """Every metric path that some run logged, in order of its name."""
    return sorted({path for arm in arms for run in arm.runs for row in run.metrics for path in row})


def _curve(arms: Sequence[Arm], path: str, words: Words) -> Curve:
    title, note = words.of(path)
    found = {}
    for axis, name in axes_of(arms):
        lines = [line for color, arm in enumerate(arms) if (line := _line(arm, color, path, axis))]
        if lines:
            found[axis] = charts.line_chart(lines, title=f"{title} against {name}", axis=name)
    return Curve(path=path, title=title, note=note, by_axis=found)


def _line(arm: Arm, color: int, path: str, axis: str) -> charts.Line | None:
    series = [s for s in (run.series(path, axis) for run in arm.runs) if s]
    if not series:
        return None
    smoothed = [charts.smooth(s) for s in series]
    raw = series if len(series) == 1 else ()
    return charts.Line(label=arm.name, color=color, mean=charts.average(smoothed), raw=raw, band=_band(smoothed))


def _band(runs: Sequence[charts.Points]) -> list[tuple[float, float, float]]:
    """x, low and high: along the curves the 95 % interval of the mean by a bootstrap over seeds; none for one seed."""
    if len(runs) < 2 or comb(2 * len(runs) - 1, len(runs)) > MOST_EXACT:
        return []
    shortest = min(len(run) for run in runs)
    thinned = [charts.thin(run[:shortest], BAND_POINTS) for run in runs]
    found = []
    for points in zip(*thinned, strict=True):
        interval = exact_bootstrap_mean([y for _, y in points])
        found.append((sum(x for x, _ in points) / len(points), interval.low, interval.high))
    return found


def _ends(runs: Sequence[Sequence[tuple[float, float]]]) -> tuple[float, float] | None:
    """Mean over the first and over the last fifth of the lines, over all runs that have any."""
    fifths = []
    for run in runs:
        if run:
            count = max(1, len(run) // 5)
            fifths.append((_mean(run[:count]), _mean(run[-count:])))
    if not fifths:
        return None
    return sum(first for first, _ in fifths) / len(fifths), sum(last for _, last in fifths) / len(fifths)


def _mean(points: Sequence[tuple[float, float]]) -> float:
    return sum(y for _, y in points) / len(points)
