"""Curves and intervals as inline SVG, drawn by hand: no plotting library, no network, colors from the page's CSS."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate

from mel.evaluate.scores import Interval

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 340, 204
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 8, 38
MAX_POINTS = 200
"""Of one line."""

MEAN_POINTS = 1_200
"""Of all lines of a chart together."""

RAW_POINTS = 1_600
"""Of all faint lines of a chart together."""

COLORS = 8
"""Number of `.c0`, `.c1`, ... classes in the style sheet; further arms begin anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One arm in a chart.

    Args:
        color: index of its CSS class.
        mean: the line that is read: smoothed, averaged over seeds.
        raw: what it is made of, one sequence per seed, drawn faintly.
        band: x, low and high of an interval around the mean.
    """

    label: str
    color: int
    mean: Points
    raw: Sequence[Points] = ()
    band: Sequence[tuple[float, float, float]] = ()


def smooth(points: Points) -> list[tuple[float, float]]:
    """Centered moving average of y over an eighth of the points; at both ends over what there is of it."""
    half, last = len(points) // 16, len(points)
    sums = [0.0, *accumulate(y for _, y in points)]
    out = []
    for i, (x, _) in enumerate(points):
        start, end = max(0, i - half), min(last, i + half + 1)
        out.append((x, (sums[end] - sums[start]) / (end - start)))
    return out


def average(runs: Sequence[Points]) -> list[tuple[float, float]]:
    """Mean x and y of the runs, position by position, as far as the shortest goes."""
    shortest = min((len(r) for r in runs), default=0)
    return [(sum(r[i][0] for r in runs) / len(runs), sum(r[i][1] for r in runs) / len(runs)) for i in range(shortest)]


def thin(points: Points, most: int = MAX_POINTS) -> list[tuple[float, float]]:
    """At most so many points (2 or more), evenly chosen, the first and last among them."""
    if len(points) <= most:
        return list(points)
    stride = (len(points) - 1) / (most - 1)
    return [points[round(i * stride)] for i in range(most)]


def line_chart(lines: Sequence[Line], *, title: str, axis: str = "") -> str:
    """One SVG; its `data-lines` hold the points for the read-out under the pointer. Empty if there is no point.

    Args:
        axis: what x counts.
    """
    points = [p for line in lines for p in (*line.mean, *(q for run in line.raw for q in run))]
    if not points:
        return ""
    points += [(x, y) for line in lines for x, low, high in line.band for y in (low, high)]
    x_low, x_high = _span([x for x, _ in points])
    y_ticks = ticks(*_span([y for _, y in points], floor_at_zero=True))
    y_low, y_high = y_ticks[0], y_ticks[-1]
    at_x = _scale(x_low, x_high, LEFT, WIDTH - RIGHT)
    at_y = _scale(y_low, y_high, HEIGHT - BOTTOM, TOP)
    x_ticks = [t for t in ticks(x_low, x_high, 4) if x_low <= t <= x_high]
    if all(x == int(x) for x, _ in points):  # there is no step 10.5
        x_ticks = [t for t in x_ticks if t == int(t)]
    parts = [_grid(y_ticks, at_y), _x_axis(x_ticks, at_x)]
    parts.append(f'<text class="tick" x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{escape(axis)}</text>')
    parts += [_band(line, at_x, at_y) for line in lines]
    each = max(2, min(MAX_POINTS, MEAN_POINTS // len(lines)))
    most = max(2, min(MAX_POINTS, RAW_POINTS // max(1, sum(len(line.raw) for line in lines))))
    for line in lines:
        raw = [thin(run, most) for run in line.raw if len(run) > 1]
        parts += [_polyline(points, at_x, at_y, f"raw c{line.color % COLORS}", line.color) for points in raw]
    for line in lines:
        style = f"mean c{line.color % COLORS}{' again' if line.color >= COLORS else ''}"
        parts.append(_polyline(thin(line.mean, each), at_x, at_y, style, line.color))
    frame = {"x": [x_low, x_high, LEFT, WIDTH - RIGHT], "top": TOP, "bottom": HEIGHT - BOTTOM}
    shown = [{"label": n.label, "color": n.color, "points": _rounded(thin(n.mean, each))} for n in lines if n.mean]
    data = escape(json.dumps({**frame, "lines": shown}))
    label = f'role="img" tabindex="0" aria-label="{escape(title)}"'
    return f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" {label} data-lines="{data}">{"".join(parts)}</svg>'


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A difference to be drawn.

    Args:
        group: rows behind each other of the same group stand below its name; empty for none.
        found: as a share, not in points.
    """

    group: str
    label: str
    color: int
    found: Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A row of a chart of differences, in percentage points.

    Args:
        svg: interval and estimate on a scale that all rows share; as wide as its place, whatever that is.
    """

    group: str
    label: str
    color: int
    svg: str
    value: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


def differences(rows: Sequence[Row]) -> tuple[list[Difference], str]:
    """The rows as they are drawn, and the scale below them."""
    if not rows:
        return [], ""
    values = [100 * v for row in rows for v in (row.found.low, row.found.high)] + [0.0]
    marks = ticks(min(values), max(values), 4)
    # Room for half a dot and half a number at both ends.
    at = _scale(marks[0], marks[-1], 4.0, 96.0)
    grid = "".join(
        f'<line class="{"zero" if m == 0 else "grid"}" x1="{at(m):.2f}%" x2="{at(m):.2f}%" y1="0" y2="100%"/>'
        for m in marks
    )
    found = []
    for row in rows:
        low, value, high = (100 * v for v in (row.found.low, row.found.value, row.found.high))
        svg = (
            f'<svg class="difference c{row.color % COLORS}" height="26" aria-hidden="true">{grid}'
            f'<line class="whisker" x1="{at(low):.2f}%" x2="{at(high):.2f}%" y1="13" y2="13"/>'
            f'<circle class="dot" cx="{at(value):.2f}%" cy="13" r="4.5"/></svg>'
        )
        found.append(
            Difference(group=row.group, label=row.label, color=row.color, svg=svg, value=value, low=low, high=high)
        )
    scale = "".join(
        f'<text class="tick" x="{at(m):.2f}%" y="12" text-anchor="middle">{f"{m:+g}" if m else 0}</text>' for m in marks
    )
    return found, f'<svg class="difference" height="16" aria-hidden="true">{scale}</svg>'


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers that cover [low, high], about `count` steps of 1, 2 or 5 times a power of ten."""
    if high <= low:
        high = low + (abs(low) or 1.0)
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def number(value: float) -> str:
    """A tick label: `0.25`, `150`, `1.2k`, `3.4M`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _span(values: Sequence[float], *, floor_at_zero: bool = False) -> tuple[float, float]:
    low, high = min(values), max(values)
    if floor_at_zero and 0 < low < high * 0.6:
        low = 0.0
    return (low, high) if high > low else (low, low + (abs(low) * 0.1 or 1.0))


def _scale(low: float, high: float, start: float, end: float):
    ratio = (end - start) / (high - low)
    return lambda value: start + (value - low) * ratio


def _grid(marks: Sequence[float], at_y) -> str:
    return "".join(
        f'<line class="{"zero" if m == 0 else "grid"}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at_y(m):.1f}" '
        f'y2="{at_y(m):.1f}"/>'
        f'<text class="tick" x="{LEFT - 6}" y="{at_y(m) + 3.5:.1f}" text-anchor="end">{number(m)}</text>'
        for m in marks
    )


def _x_axis(marks: Sequence[float], at_x) -> str:
    return "".join(
        f'<text class="tick" x="{at_x(m):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{number(m)}</text>'
        for m in marks
    )


def _polyline(points: Points, at_x, at_y, style: str, arm: int) -> str:
    if len(points) == 1:
        x, y = points[0]
        return f'<circle class="{style} dot" data-arm="{arm}" cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="3"/>'
    path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in points)
    return f'<polyline class="{style}" data-arm="{arm}" points="{path}"/>' if points else ""


def _band(line: Line, at_x, at_y) -> str:
    if len(line.band) < 2:
        return ""
    there = [f"{at_x(x):.1f},{at_y(high):.1f}" for x, _, high in line.band]
    back = [f"{at_x(x):.1f},{at_y(low):.1f}" for x, low, _ in reversed(line.band)]
    return (
        f'<polygon class="band c{line.color % COLORS}" data-arm="{line.color}" points="{" ".join((*there, *back))}"/>'
    )


def _rounded(points: Points) -> list[list[float]]:
    return [[float(f"{x:.6g}"), float(f"{y:.4g}")] for x, y in points]
