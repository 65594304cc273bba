import json
from html import unescape
from xml.etree import ElementTree

import pytest

from mel.evaluate.scores import Interval
from mel.report.charts import (
    MAX_POINTS,
    RAW_POINTS,
    Line,
    average,
    interval_chart,
    line_chart,
    number,
    smooth,
    thin,
    ticks,
)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.5, 1.0]),
        (0.0, 0.8, [0.0, 0.2, 0.4, 0.6, 0.8]),
        (-0.3, 0.3, [-0.4, -0.2, 0.0, 0.2, 0.4]),
        (0.0, 137_000.0, [0.0, 50_000.0, 100_000.0, 150_000.0]),
    ],
)
def test_ticks_are_round_and_cover_the_data(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected


def test_a_single_value_still_has_an_axis() -> None:
    assert ticks(0.0, 0.0) == [0.0, 0.5, 1.0]
    assert ticks(5.0, 5.0)[0] <= 5.0 <= ticks(5.0, 5.0)[-1]


def test_numbers_are_short() -> None:
    assert [number(v) for v in (0.25, 150, 1_234, 137_000, 3_400_000)] == ["0.25", "150", "1.23k", "137k", "3.4M"]


def test_smoothing_keeps_a_constant_and_the_steps() -> None:
    points = [(float(i), 0.5) for i in range(100)]
    assert smooth(points) == points
    # 32 points: a window of two to each side.
    spike = [(float(i), 1.0 if i == 16 else 0.0) for i in range(32)]
    assert [y for _, y in smooth(spike)][13:20] == [0.0, 0.2, 0.2, 0.2, 0.2, 0.2, 0.0]


def test_the_mean_of_runs_goes_as_far_as_the_shortest() -> None:
    assert average([[(1, 0.0), (2, 1.0), (3, 9.0)], [(3, 1.0), (4, 0.0)]]) == [(2.0, 0.5), (3.0, 0.5)]


def test_long_curves_are_thinned_with_both_ends_kept() -> None:
    points = [(float(i), float(i)) for i in range(10_001)]
    assert len(thin(points)) == MAX_POINTS
    assert (thin(points)[0], thin(points)[-1]) == (points[0], points[-1])
    assert thin(points, 3) == [points[0], points[5_000], points[-1]]


def test_many_seeds_are_drawn_with_fewer_points_each() -> None:
    run = [(float(i), float(i % 7)) for i in range(500)]
    svg = ElementTree.fromstring(line_chart([Line(label="a", color=0, mean=run, raw=[run] * 16)], title="many"))
    drawn = [(e.get("points") or "").split() for e in svg.iter("polyline") if "raw" in (e.get("class") or "")]
    assert [len(points) for points in drawn] == [RAW_POINTS // 16] * 16


def test_a_chart_is_well_formed_and_holds_its_points_for_the_readout() -> None:
    line = Line(label='<b>"grpo"</b>', color=9, mean=[(1, 0.25), (2, 0.5)], raw=[[(1, 0.2), (2, 0.6)]])
    svg = line_chart([line], title="Reward & more")
    root = ElementTree.fromstring(svg)
    assert [e.get("class") for e in root.iter("polyline")] == ["raw c1", "mean c1"]
    data = json.loads(unescape(root.get("data-lines") or ""))
    assert data["lines"] == [{"label": '<b>"grpo"</b>', "color": 1, "points": [[1.0, 0.25], [2.0, 0.5]]}]


def test_one_point_is_a_dot_and_none_is_no_chart() -> None:
    root = ElementTree.fromstring(line_chart([Line(label="a", color=0, mean=[(1, 0.5)])], title="x"))
    assert len(list(root.iter("circle"))) == 1
    assert line_chart([Line(label="a", color=0, mean=[])], title="x") == ""


def test_differences_are_drawn_around_zero() -> None:
    svg = interval_chart([("Pass@1", 1, Interval(value=0.153, low=0.09, high=0.216))])
    root = ElementTree.fromstring(svg)
    assert "+15.3 [+9.0, +21.6]" in [e.text for e in root.iter("text")]
    assert [e.get("class") for e in root.iter("line")].count("zero") == 1
    assert interval_chart([]) == ""
