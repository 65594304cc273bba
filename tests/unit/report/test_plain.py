"""`--json`: the values of a table, unrounded, for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mel.cli import app
from mel.record import RunDirectory
from mel.report.arms import read_run
from mel.report.plain import as_json, comparison_values, evaluation_values

Make = Callable[..., Path]


def json_of(*words: object) -> dict:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0
    return json.loads(result.stdout)


def test_a_comparison_has_every_score_of_every_arm_with_its_difference_to_the_first(make_run: Make) -> None:
    paths = [make_run("grpo", mel=False, gain=0.1), make_run("recommended", gain=0.7)]
    found = comparison_values(paths)
    arms = {arm["arm"]: arm for arm in found["arms"]}
    first, second = arms["grpo"]["scores"][0], arms["recommended"]["scores"][0]
    score = read_run(paths[1]).after[second["evaluation"]].pass_at_1
    assert score is not None
    assert (second["score"], second["value"]) == ("Pass@1", score.value)
    assert first["difference"] is None
    assert second["difference"].value == pytest.approx(second["value"] - first["value"])


def test_report_prints_it_and_the_page_is_announced_elsewhere(make_run: Make, tmp_path: Path) -> None:
    run = make_run("recommended")
    found = json_of("report", run, "--json", "--output", tmp_path / "page.html")
    assert found["arms"][-1]["seeds"] == [0]
    assert (tmp_path / "page.html").is_file()


def test_an_evaluation_is_given_without_the_scores_of_single_problems(make_run: Make) -> None:
    run = make_run("recommended")
    found = evaluation_values(run, ["heldout", "not evaluated"])
    assert list(found["evaluations"]) == ["heldout"]
    assert found["evaluations"]["heldout"]["problems"] == read_run(run).after["heldout"].problems
    assert "scores" not in found["evaluations"]["heldout"]


def test_experiences_are_listed_and_shown_as_they_are_stored(make_run: Make) -> None:
    run = make_run("recommended")
    with RunDirectory.open(run) as directory:
        newest = directory.experiences.list(newest_first=True, limit=1).items[0]
        total = directory.experiences.list().total
    listed = json_of("experiences", "list", run, "--json")
    assert (listed["total"], listed["items"][0]["id"]) == (total, newest.id)
    shown = json_of("experiences", "show", run, newest.id, "--json")
    assert (shown["problem"], shown["heuristic"], shown["is_kept"]) == (
        newest.problem,
        newest.heuristic,
        newest.is_kept,
    )


@pytest.mark.parametrize("number", ["9e30", "0", "99999999999999999999"])
def test_a_number_that_no_store_can_hold_is_refused_as_such(make_run: Make, number: str) -> None:
    result = CliRunner().invoke(app, ["experiences", "show", str(make_run("recommended")), number])
    assert result.exit_code == 2
    assert "number" in result.stderr


def test_what_json_cannot_hold_becomes_null_or_text() -> None:
    value = {"a": float("nan"), "b": Path("x"), 3: (1, frozenset({2}))}
    assert json.loads(as_json(value)) == {"a": None, "b": "x", "3": [1, [2]]}
