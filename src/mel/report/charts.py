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

WIDTH, HEIGHT = 340, 190
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 8, 24
MAX_POINTS = 200
"""Of one line."""

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
    """

    label: str
    color: int
    mean: Points
    raw: Sequence[Points] = ()


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


def line_chart(lines: Sequence[Line], *, title: str) -> str:
    """One SVG; its `data-lines` hold the points for the read-out under the pointer. Empty if there is no point."""
    points = [p for line in lines for p in (*line.mean, *(q for run in line.raw for q in run))]
    if not points:
        return ""
    x_low, x_high = _span([x for x, _ in points])
    y_ticks = ticks(*_span([y for _, y in points], floor_at_zero=True))
    y_low, y_high = y_ticks[0], y_ticks[-1]
    at_x = _scale(x_low, x_high, LEFT, WIDTH - RIGHT)
    at_y = _scale(y_low, y_high, HEIGHT - BOTTOM, TOP)
    parts = [_grid(y_ticks, at_y), _x_axis([t for t in ticks(x_low, x_high, 4) if x_low <= t <= x_high], at_x)]
    most = max(2, min(MAX_POINTS, RAW_POINTS // max(1, sum(len(line.raw) for line in lines))))
    for line in lines:
        raw = [thin(run, most) for run in line.raw if len(run) > 1]
        parts += [_polyline(points, at_x, at_y, f"raw c{line.color % COLORS}") for points in raw]
    for line in lines:
        parts.append(_polyline(thin(line.mean), at_x, at_y, f"mean c{line.color % COLORS}"))
    frame = {"x": [x_low, x_high, LEFT, WIDTH - RIGHT], "top": TOP, "bottom": HEIGHT - BOTTOM}
    shown = [{"label": n.label, "color": n.color % COLORS, "points": _rounded(thin(n.mean))} for n in lines if n.mean]
    data = escape(json.dumps({**frame, "lines": shown}))
    label = f'role="img" aria-label="{escape(title)}"'
    return f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" {label} data-lines="{data}">{"".join(parts)}</svg>'


LETTER = 7.2
"""Pixels per letter of a label, on average and a little more."""


def interval_chart(rows: Sequence[tuple[str, int, Interval]]) -> str:
    """Differences in percentage points with their intervals, one row each, around a line at zero.

    Args:
        rows: label, color and difference (as a share, not in points).
    """
    if not rows:
        return ""
    row_height, number_width = 24, 140
    label_width = max(230, 12 + LETTER * max(len(label) for label, _, _ in rows))
    width = label_width + 490
    values = [100 * v for _, _, i in rows for v in (i.low, i.high)] + [0.0]
    marks = ticks(min(values), max(values), 6)
    at_x = _scale(marks[0], marks[-1], label_width, width - number_width)
    height = row_height * len(rows) + 26
    base = height - 20
    parts = [
        f'<line class="{"zero" if m == 0 else "grid"}" x1="{at_x(m):.1f}" x2="{at_x(m):.1f}" y1="4" y2="{base}"/>'
        f'<text class="tick" x="{at_x(m):.1f}" y="{height - 6}" text-anchor="middle">{f"{m:+g}" if m else 0}</text>'
        for m in marks
    ]
    for i, (label, color, interval) in enumerate(rows):
        y = 4 + row_height * i + row_height / 2
        low, value, high = (100 * v for v in (interval.low, interval.value, interval.high))
        text = f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"
        parts += [
            f'<text class="label" x="{label_width - 12}" y="{y + 4:.1f}" text-anchor="end">{escape(label)}</text>',
            f'<g class="c{color % COLORS}">',
            f'<line class="whisker" x1="{at_x(low):.1f}" x2="{at_x(high):.1f}" y1="{y}" y2="{y}"/>',
            f'<circle class="dot" cx="{at_x(value):.1f}" cy="{y}" r="4.5"/></g>',
            f'<text class="number" x="{width - number_width + 12}" y="{y + 4:.1f}">{text}</text>',
        ]
    return f'<svg class="intervals" viewBox="0 0 {width:.0f} {height}" role="img">{"".join(parts)}</svg>'


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
        f'<text class="tick" x="{at_x(m):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{number(m)}</text>' for m in marks
    )


def _polyline(points: Points, at_x, at_y, style: str) -> str:
    if len(points) == 1:
        return f'<circle class="{style} dot" cx="{at_x(points[0][0]):.1f}" cy="{at_y(points[0][1]):.1f}" r="3"/>'
    path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in points)
    return f'<polyline class="{style}" points="{path}"/>' if points else ""


def _rounded(points: Points) -> list[list[float]]:
    return [[float(f"{x:.6g}"), float(f"{y:.4g}")] for x, y in points]
