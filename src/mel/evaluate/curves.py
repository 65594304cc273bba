"""Learning curves: where one stands at a given cost, the area under it, and what reaching an accuracy cost."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

Curve = Sequence[tuple[float, float]]
"""(cost, score) in order of cost: optimizer steps, generated tokens or seconds; and a share of right answers."""


def score_at(curve: Curve, cost: float) -> float | None:
    """The score at that cost, linear between two measurements; None before the first and after the last."""
    for (x, y), (next_x, next_y) in itertools.pairwise(curve):
        if x <= cost <= next_x:
            return y if next_x == x else y + (next_y - y) * (cost - x) / (next_x - x)
    return None


def area_under(curve: Curve) -> float | None:
    """The mean score over the range of costs, by trapezoids; None with fewer than two costs."""
    if len(curve) < 2 or curve[-1][0] <= curve[0][0]:
        return None
    pieces = ((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in itertools.pairwise(curve))
    return sum(pieces) / (curve[-1][0] - curve[0][0])


def cost_to_reach(curve: Curve, score: float) -> float | None:
    """The least cost at which the score was reached, linear between two measurements; None if it never was."""
    for index, (x, y) in enumerate(curve):
        if y < score:
            continue
        if index == 0:
            return x
        before_x, before_y = curve[index - 1]
        return before_x + (x - before_x) * (score - before_y) / (y - before_y)
    return None
