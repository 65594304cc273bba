"""What a study says of its cells, from run directories as training leaves them."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mel.evaluate.scores import Interval
from mel.report.arms import Run, read_run
from mel.report.cell_states import CellState, unfinished
from mel.report.page import render_study
from mel.report.study import Results, results_of
from mel.report.study_text import markdown, values

SUITES = {"evaluation": {"suites": [{"name": "heldout"}]}}


def _run(path: Path, curve: dict[int, float], cost: float) -> Run:
    """The run with greedy scores between, at that many tokens and seconds a step, and none after training."""
    run = read_run(path)
    rows = [
        {"step": step, "tokens/generated": step * cost, "time_s/total": step * cost, "evaluation/heldout/pass_at_1": s}
        for step, s in curve.items()
    ]
    return replace(run, recipe=SUITES, metrics=tuple(rows), evaluations={})


@pytest.fixture
def results(make_run: Callable[..., Path]) -> Results:
    cells = [CellState(arm=arm, point=(), seed=seed, state="finished") for seed in (0, 1) for arm in ("grpo", "mel")]
    cells.append(CellState(arm="mel", point=(), seed=2, state="failed", message="OSError: no space", step=3, steps=60))
    paths = {arm: make_run(arm, steps=2, mel=arm == "mel") for arm in ("grpo", "mel")}
    curves = {
        ("grpo", 0): {1: 0.2, 3: 0.6}, ("mel", 0): {1: 0.3, 3: 0.9},
        ("grpo", 1): {1: 0.2, 3: 0.4}, ("mel", 1): {1: 0.2, 3: 0.4},
    }  # fmt: skip
    runs = {
        cell: replace(
            _run(paths[cell.arm], curves[cell.arm, cell.seed], 2.0 if cell.arm == "mel" else 1.0), seed=cell.seed
        )
        for cell in cells[:4]
    }
    return results_of(
        name="two", question="", order=["grpo", "mel"], target=0.5, cells=cells, runs=runs, command="mel study two.yaml"
    )


def test_differences_at_equal_tokens_are_taken_at_the_cost_of_the_cheaper_run(results: Results) -> None:
    # At 3 tokens MEL has made 1.5 steps: 0.3 + 0.6/4 = 0.45 against 0.6, and 0.25 against 0.4.
    difference = results.points[0].summaries[1].at_equal_tokens
    assert difference is not None
    assert difference.value == pytest.approx(-0.15)
    assert results.points[0].summaries[0].at_equal_tokens is None


def test_the_area_is_over_steps_and_the_target_is_paid_in_tokens(results: Results) -> None:
    grpo, mel = results.points[0].summaries
    assert grpo.area is not None
    assert mel.area is not None
    assert (grpo.area.value, mel.area.value) == (pytest.approx(0.35), pytest.approx(0.45))
    # 0.5 is reached by seed 0 only: GRPO at step 2.5 of one token each, MEL at step 1 + 2/3 of two tokens each.
    assert grpo.to_target == (pytest.approx(2.5), 1)
    assert mel.to_target == (pytest.approx(2 * (1 + 2 / 3)), 1)


def test_an_arm_that_begins_from_another_model_does_not_begin_at_this_one_s_score(
    make_run: Callable[..., Path],
) -> None:
    paths = {arm: make_run(arm, steps=1, mel=False) for arm in ("small", "large")}
    half = replace(read_run(paths["small"]).evaluations["after-heldout"], pass_at_1=Interval(value=0.5, low=0, high=1))
    small = replace(_run(paths["small"], {1: 0.6, 3: 0.8}, 1.0), evaluations={"before-heldout": half})
    large = _run(paths["large"], {1: 0.2, 3: 0.6}, 1.0)
    runs = [replace(run, recipe={**SUITES, "model": {"path": f"model {n}"}}) for n, run in enumerate((small, large))]
    cells = [CellState(arm=arm, point=(), seed=0, state="finished") for arm in paths]
    arguments = {"name": "s", "question": "", "target": None, "cells": cells}
    found = results_of(order=list(paths), runs=dict(zip(cells, runs, strict=True)), **arguments)
    # From 0.5 over 0.6 to 0.8: (0.55 + 2 * 0.7) / 3. The other was first measured after a step: 0.4.
    assert [s.area and s.area.value for s in found.points[0].summaries] == [pytest.approx(0.65), pytest.approx(0.4)]


def test_one_seed_has_no_interval_and_what_was_never_measured_is_not_missed(make_run: Callable[..., Path]) -> None:
    paths = {arm: make_run(arm, steps=1, mel=False) for arm in ("grpo", "mel", "blind")}
    curves = {"grpo": {1: 0.2, 3: 0.4}, "mel": {1: 0.3, 3: 0.9}, "blind": {}}
    cells = [CellState(arm=arm, point=(), seed=0, state="finished") for arm in paths]
    runs = {cell: _run(paths[cell.arm], curves[cell.arm], 1.0) for cell in cells}
    text = markdown(results_of(name="s", question="", order=list(paths), target=0.5, cells=cells, runs=runs))
    assert "| grpo | - | - | 30.0 | not reached |" in text
    assert "| mel | +50.0 | +50.0 | 60.0 | 2 (1 of 1) |" in text
    assert "| blind | - | - | - | - |" in text


def test_a_study_of_which_nothing_is_finished_took_no_time_that_could_be_told() -> None:
    cells = [CellState(arm="grpo", point=(), seed=0, state="not begun")]
    found = results_of(name="s", question="", order=["grpo"], target=None, cells=cells, runs={})
    assert "0 of 1 runs are finished." in markdown(found)


def test_a_failed_cell_is_shown_with_its_reason_and_not_counted(results: Results) -> None:
    text = markdown(results)
    assert "4 of 5 runs are finished" in text
    assert "* 1 failed: `mel study two.yaml` tries it again\n    * mel, seed 2, step 3 of 60: OSError: no sp" in text
    assert "| mel | 2 of 3 |" in text


def test_cells_that_were_not_begun_are_named_together_with_what_to_do() -> None:
    seeds = {"a": (0, 1, 2), "b": (0, 1, 2), "c": (2, 5)}
    cells = [
        CellState(arm=arm, point=(("world", world),), seed=seed, state="not begun")
        for world in (1, 2) for arm, of_arm in seeds.items() for seed in of_arm
    ]  # fmt: skip
    cells.append(CellState(arm="a", point=(("world", 0),), seed=0, state="running", step=7, steps=60))
    cells.append(CellState(arm="b", point=(("world", 0),), seed=0, state="interrupted", step=7))
    cells.append(CellState(arm="c", point=(("world", 0),), seed=0, state="finished"))
    told = {of_state.heading("mel study s.yaml"): of_state.cells for of_state in unfinished(cells)}
    assert told == {
        "16 not begun: mel study s.yaml trains them": (
            "world = 1 and world = 2: a and b, seeds 0 to 2",
            "world = 1 and world = 2: c, seeds 2 and 5",
        ),
        "1 running": ("a, world = 0, seed 0, step 7 of 60",),
        "1 interrupted: mel study s.yaml continues it from the last checkpoint": ("b, world = 0, seed 0, step 7",),
    }


def test_retention_of_an_arm_is_over_all_its_runs(results: Results) -> None:
    mel = results.points[0].summaries[1]
    assert mel.ledger.replayed > 0
    assert f"| {mel.ledger.kept / mel.ledger.replayed:.2f} |" in markdown(results)


def test_the_json_holds_what_the_markdown_shows(results: Results) -> None:
    found = json.loads(values(results))
    assert found["points"][0]["costs"][1]["at_equal_tokens"]["value"] == pytest.approx(-0.15)
    assert [cell["state"] for cell in found["cells"]] == ["finished"] * 4 + ["failed"]


def test_the_page_of_a_study_shows_equal_cost_and_what_is_not_finished(results: Results) -> None:
    html = render_study(replace(results, question="Does it <help>?"))
    assert '<p class="question">Does it &lt;help&gt;?</p>' in html
    assert '<td data-label="at equal tokens"><b>-15.0</b>' in html
    assert "<summary>1 failed: <code>mel study two.yaml</code> tries it again</summary>" in html
    assert "<li>mel, seed 2, step 3 of 60: OSError: no space</li>" in html
    # Both arms have the same recipe here; each goes by the name that the study gives it.
    assert re.findall(r"<summary>(\w+), seed 0 <code>", html) == ["grpo", "mel"]


def test_arms_are_compared_within_their_combination_of_axis_values(make_run: Callable[..., Path]) -> None:
    paths = {(arm, length): make_run(f"{arm}{length}", steps=1, gain=gain) for arm, length, gain in
             (("grpo", 5, 0.1), ("mel", 5, 0.5), ("grpo", 8, 0.3), ("mel", 8, 0.7))}  # fmt: skip
    cells = [CellState(arm=arm, point=(("length", length),), seed=0, state="finished") for arm, length in paths]
    runs = {cell: read_run(paths[cell.arm, cell.point[0][1]]) for cell in cells}
    html = render_study(results_of(name="s", question="", order=["grpo", "mel"], target=None, cells=cells, runs=runs))
    assert html.count("<h3>Difference to grpo, in percentage points</h3>") == 2
    # Six scores each, of the second and of the fourth arm of the page.
    assert [html.count(f'<svg class="difference c{color}"') for color in range(4)] == [0, 6, 0, 6]
    assert '<h3 class="point">length = 8</h3>' in html
