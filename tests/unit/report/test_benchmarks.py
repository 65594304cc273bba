"""Benchmarks side by side: their average, and scores without what the training set contains, worked out by hand."""

import re
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from mel.evaluate.responses import Response, Settings
from mel.evaluate.result import summarize, write_result
from mel.record import RunDirectory
from mel.report.arms import read_arms
from mel.report.comparison import Comparison, compare
from mel.report.page import build
from mel.report.results_table import results_table

SETTINGS = Settings(
    model="m", weights="", k=2, temperature=0.6, top_p=1.0, max_tokens=9, prompts="p", problems="h", prompt_ids="i",
    engine="e", seed=0,
)  # fmt: skip


def responses(greedy: Mapping[str, bool]) -> list[Response]:
    """A greedy response per problem, and two samples that are as right as it is."""
    return [
        Response(
            problem=problem, kind=kind, sample=sample, text="", num_tokens=1, is_truncated=False, is_correct=is_right,
            reason="right" if is_right else "wrong", detail="", seconds=0.1,
        )
        for problem, is_right in greedy.items()
        for kind, sample in (("greedy", 0), ("sampled", 0), ("sampled", 1))
    ]  # fmt: skip


def evaluated(path: Path, suites: Mapping[str, Mapping[str, bool]], *, contained: Sequence[str] = ()) -> Path:
    """A directory as `mel eval` leaves it."""
    with RunDirectory.create(path, {"name": path.name, "model": {"path": path.name}}, {}) as run:
        for name, greedy in suites.items():
            result = summarize(
                name, SETTINGS, responses(greedy), contained=contained, environment={"is_benchmark": True}
            )
            write_result(result, run.evaluation(name))
    return path


BASE = {"small": {"s1": False, "s2": True}, "large": {f"l{i}": i < 2 for i in range(8)}}
OURS = {"small": {"s1": True, "s2": True}, "large": {f"l{i}": i < 4 for i in range(8)}}


def column(comparison: Comparison, evaluation: str, label: str) -> int:
    return [(c.evaluation, c.label) for c in comparison.columns].index((evaluation, label))


def test_benchmarks_of_different_sizes_weigh_the_same_in_the_average_and_its_difference(tmp_path: Path) -> None:
    comparison = compare(read_arms([evaluated(tmp_path / "base", BASE), evaluated(tmp_path / "ours", OURS)]))
    base, ours = (row.cells[column(comparison, "average", "Pass@1")] for row in comparison.rows)
    assert base.score.value == pytest.approx((1 / 2 + 2 / 8) / 2)
    assert ours.score.value == pytest.approx((1 + 4 / 8) / 2)
    assert ours.difference.value == pytest.approx((1 / 2 + 2 / 8) / 2)
    assert ours.difference.low <= ours.difference.value <= ours.difference.high
    assert base.difference is None


def test_contained_problems_are_left_out_of_columns_of_their_own_on_both_sides(tmp_path: Path) -> None:
    # Only our training set was looked into; the base model is compared without the same problems all the same.
    paths = [evaluated(tmp_path / "base", BASE), evaluated(tmp_path / "ours", OURS, contained=["l2", "l3", "s1"])]
    comparison = compare(read_arms(paths))
    base, ours = (row.cells[column(comparison, "large, not in training", "Pass@1")] for row in comparison.rows)
    assert (base.score.value, ours.score.value, ours.difference.value) == (2 / 6, 2 / 6, 0.0)
    clean = comparison.rows[1].cells[column(comparison, "average, not in training", "Avg@2")]
    assert clean.score.value == pytest.approx((1 + 2 / 6) / 2)
    assert clean.difference.value == pytest.approx(0.0)


def trained(path: Path, seed: int, suites: Mapping[str, Mapping[str, bool]]) -> Path:
    """A run as `mel train` and `mel eval RUN` leave it."""
    with RunDirectory.create(path, {"name": "mel", "trainer": {"seed": seed}}, {}) as run:
        run.metrics.append(1, {"reward/mean": 0.5})
        for name, greedy in suites.items():
            result = summarize(name, SETTINGS, responses(greedy), environment={"is_benchmark": True})
            write_result(result, run.evaluation(f"after-{name}"))
    return path


def test_a_model_that_was_not_trained_here_is_paired_with_every_seed(tmp_path: Path) -> None:
    base = evaluated(tmp_path / "base", BASE)
    runs = [trained(tmp_path / "s0", 0, OURS), trained(tmp_path / "s1", 1, BASE)]
    row = compare(read_arms([base, *runs])).rows[1]
    # Small: 1 of 2 problems more with seed 0, none more with seed 1. Large: 2 of 8 more, none more.
    assert [row.cells[i].difference.value for i in (0, 3)] == pytest.approx([0.25 / 2, 0.5 / 2])
    assert row.cells[0].num_seeds == 2
    last = compare(read_arms([*runs, base])).rows[1]
    assert [last.cells[i].difference.value for i in (0, 3)] == pytest.approx([-0.25 / 2, -0.5 / 2])
    assert (last.cells[0].num_seeds, last.cells[0].score.value) == (1, 2 / 8)


def test_a_problem_is_left_out_of_its_own_benchmark_only(tmp_path: Path) -> None:
    # Two files of somebody's own, both numbered from 1: training contains number 1 of the second, which is right.
    suites = {"first": {"1": True, "2": False}, "second": {"1": True, "2": False, "3": False}}
    with RunDirectory.create(tmp_path / "ours", {"name": "ours"}, {}) as run:
        for name, greedy in suites.items():
            found = ["1"] if name == "second" else []
            result = summarize(name, SETTINGS, responses(greedy), contained=found, environment={"is_benchmark": True})
            write_result(result, run.evaluation(name))
    comparison = compare(read_arms([tmp_path / "ours"]))
    clean = comparison.rows[0].cells[column(comparison, "average, not in training", "Pass@1")]
    assert clean.score.value == pytest.approx((1 / 2 + 0 / 2) / 2)


def test_an_arm_that_lacks_a_benchmark_has_no_average(tmp_path: Path) -> None:
    paths = [evaluated(tmp_path / "base", BASE), evaluated(tmp_path / "ours", {"small": OURS["small"]})]
    comparison = compare(read_arms(paths))
    at = column(comparison, "average", "Pass@1")
    assert comparison.rows[0].cells[at].score is not None
    assert comparison.rows[1].cells[at].score is None


def test_one_benchmark_alone_has_no_average(tmp_path: Path) -> None:
    comparison = compare(read_arms([evaluated(tmp_path / "base", {"small": BASE["small"]})]))
    assert {c.evaluation for c in comparison.columns} == {"small"}


def test_many_scores_stand_below_each_other_in_a_terminal(tmp_path: Path) -> None:
    table = results_table([evaluated(tmp_path / "base", BASE), evaluated(tmp_path / "ours", OURS)])
    console = Console(file=StringIO(), width=80, color_system=None)
    console.print(table)
    rows = [line.split() for line in console.file.getvalue().splitlines() if line.strip()]  # type: ignore[attr-defined]
    assert ["base", "ours"] in rows
    assert rows[rows.index(["average"]) + 1] == ["Pass@1", "37.5", "75.0"]
    assert rows[rows.index(["average"]) + 2][0].startswith("+37.5")


def test_scores_that_no_window_holds_side_by_side_stand_in_a_table_for_each_evaluation(tmp_path: Path) -> None:
    names = ["base", "ours", *(f"another_arm_{i}" for i in range(6))]
    table = results_table([evaluated(tmp_path / name, BASE if name == "base" else OURS) for name in names])
    console = Console(file=StringIO(), width=80, color_system=None)
    console.print(table)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert "…" not in "".join(lines)
    headings = [line.split() for line in lines if line.split()[-2:] == ["tokens", "seconds"]]
    evaluations = {c.evaluation for c in compare(read_arms([tmp_path / "base"])).columns}
    assert len(headings) == len(evaluations) == 3
    assert headings[0] == ["arm", "Pass@1", "Avg@2", "Pass@2", "tokens", "seconds"]
    assert sum("another_arm_5" in line for line in lines) == 3


def test_the_page_has_a_row_per_score_where_many_would_not_stand_side_by_side(tmp_path: Path) -> None:
    paths = [evaluated(tmp_path / "base", BASE), evaluated(tmp_path / "ours", OURS, contained=["l2"])]
    page = build(paths, tmp_path / "page.html").read_text()
    body = page[page.index('<table class="stacks tall">') : page.index('<section id="curves">')]
    rows = [re.sub(r"<[^>]*>|\s+", " ", row).split() for row in body.split("<tr")]
    assert any(row[-3:] == ["base", "ours"] or row[-2:] == ["base", "ours"] for row in rows)
    average = next(row for row in rows if "average" in row)
    assert "37.5" in average
    assert "75.0" in average
    assert "+37.5" in average
    assert "large, not in training Avg@2, ours" not in page, "two arms need no name behind a difference"
    assert "large, not in training Avg@2" in page
