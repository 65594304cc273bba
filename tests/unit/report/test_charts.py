import json
from html import unescape
from xml.etree import ElementTree

import pytest

from mel.evaluate.scores import Interval
from mel.report.charts import (
    BOTTOM,
    HEIGHT,
    MAX_POINTS,
    MEAN_POINTS,
    RAW_POINTS,
    TOP,
    Line,
    Row,
    average,
    differences,
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
    assert [e.get("class") for e in root.iter("polyline")] == ["raw c1", "mean c1 again"]
    data = json.loads(unescape(root.get("data-lines") or ""))
    assert data["lines"] == [{"label": '<b>"grpo"</b>', "color": 9, "points": [[1.0, 0.25], [2.0, 0.5]]}]


def test_one_point_is_a_dot_and_none_is_no_chart() -> None:
    root = ElementTree.fromstring(line_chart([Line(label="a", color=0, mean=[(1, 0.5)])], title="x"))
    assert len(list(root.iter("circle"))) == 1
    assert line_chart([Line(label="a", color=0, mean=[])], title="x") == ""


def test_the_interval_of_a_line_is_a_band_within_the_axis() -> None:
    line = Line(label="a", color=1, mean=[(1, 0.5), (2, 0.5)], band=[(1, 0.4, 0.6), (2, 0.2, 0.9)])
    root = ElementTree.fromstring(line_chart([line], title="x", axis="steps"))
    (band,) = root.iter("polygon")
    heights = [float(point.split(",")[1]) for point in (band.get("points") or "").split()]
    assert len(heights) == 4
    assert TOP < heights[1] < heights[0] < heights[3] < heights[2] <= HEIGHT - BOTTOM  # high of both, low of both
    assert "steps" in [e.text for e in root.iter("text")]


def test_many_arms_are_drawn_with_fewer_points_each_and_told_apart_by_dashes() -> None:
    run = [(float(i), float(i % 7)) for i in range(500)]
    lines = [Line(label=str(color), color=color, mean=run) for color in range(12)]
    drawn = list(ElementTree.fromstring(line_chart(lines, title="many")).iter("polyline"))
    assert {len((e.get("points") or "").split()) for e in drawn} == {MEAN_POINTS // 12}
    assert [e.get("class") for e in drawn][7:9] == ["mean c7", "mean c0 again"]


def test_differences_share_a_scale_with_zero_and_say_whether_it_is_left_out() -> None:
    rows, scale = differences(
        [
            Row(group="", label="Pass@1", color=1, found=Interval(value=0.15, low=0.05, high=0.2)),
            Row(group="", label="Avg@8", color=9, found=Interval(value=0.0, low=-0.1, high=0.1)),
        ]
    )
    assert [(d.value, d.is_clear) for d in rows] == [(15.0, True), (0.0, False)]
    # Marks at -10, 0, 10 and 20 points, from 4 % of the width to 96 %: zero at 4 + 92 / 3.
    assert [e.text for e in ElementTree.fromstring(scale).iter("text")] == ["-10", "0", "+10", "+20"]
    first, second = (ElementTree.fromstring(d.svg) for d in rows)
    assert second.find("circle").get("cx") == "34.67%"  # type: ignore[union-attr]
    assert [e.get("x2") for e in first.iter("line") if e.get("class") == "whisker"] == ["96.00%"]
    assert differences([]) == ([], "")
