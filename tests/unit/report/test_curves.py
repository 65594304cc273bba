"""Which metrics a page draws, with which interval, and what it calls them."""

import math
import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mel.record import RunDirectory
from mel.report.arms import Arm, read_run
from mel.report.concept_charts import concept_charts
from mel.report.curves import curve_groups, other_measurements
from mel.report.tables import PRESENT, RecipeChanges, costs, recipe_changes, versions
from mel.report.words import Words

WORDS = Words(declared={"hints/taken_share": ("Hints taken", "share of hints")})

Rows = Callable[..., Arm]


@pytest.fixture
def arm(tmp_path: Path) -> Rows:
    def make(name: str, *rows: Mapping[str, float], environment: Mapping[str, object] | None = None, **recipe) -> Arm:
        path = tmp_path / name
        with RunDirectory.create(path, {"name": name, **recipe}, environment or {}) as run:
            for step, row in enumerate(rows, 1):
                run.metrics.append(step, row)
        return Arm(name=name, runs=(read_run(path),))

    return make


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("reward/mean", ("Reward", "mean over the rollouts of a step")),
        ("hints/taken_share", ("Hints taken", "share of hints")),  # declared by its method
        ("foreign/odd_rate", ("Odd rate", "foreign")),
        ("objective/foreign/cosine", ("Cosine, foreign", "between the policy's and the rows' gradient, -1 to 1")),
        ("tokens/hint", ("Hint", "tokens generated")),
        ("time_s/hint", ("Hint", "seconds")),
        ("evaluation/L5/pass_at_1", ("L5, Pass@1", "share of right answers, during training")),
        ("initial_kl", ("Initial kl", "")),
    ],
)
def test_every_metric_has_words_whoever_brought_it(path: str, expected: tuple[str, str]) -> None:
    assert WORDS.of(path) == expected


def test_a_number_that_nobody_knows_is_listed_and_one_with_a_part_of_its_own_is_not(arm: Rows) -> None:
    rows = [
        {"recovery": float(i), "tokens/rollout": 9.0, "concept/finds": 1.0, "objective/nll": 0.1} for i in range(10)
    ]
    found = other_measurements([arm("a", *rows), arm("b", {"hint_reliance": 0.5})], WORDS)
    assert [(m.title, m.values) for m in found] == [
        ("Hint reliance", (None, (0.5, 0.5))),
        ("Recovery", ((0.5, 8.5), None)),  # 0, 1 and 8, 9
    ]


def test_curves_are_grouped_and_declared_rates_are_drawn(arm: Rows) -> None:
    row = {"reward/mean": 0.5, "hints/taken_share": 0.25, "objective/cosine": 0.1, "evaluation/L5/pass_at_1": 0.4}
    a = arm("a", row, row, environment={"rates": {"hints": ["taken_share", "never_logged"]}})
    found = {group.title: [curve.path for curve in group.curves] for group in curve_groups([a], WORDS)}
    assert found == {
        "Reward": ["reward/mean"],
        "Scores during training": ["evaluation/L5/pass_at_1"],
        "Rates of the auxiliaries": ["hints/taken_share"],
        "Objective and gradients": ["objective/cosine"],
    }


def test_what_is_not_finite_is_left_out_of_a_curve(arm: Rows) -> None:
    path = "objective/grad_norm_policy"
    diverged = arm("a", {path: 1.0}, {path: math.inf}, {path: math.nan}, {path: 3.0})
    assert diverged.runs[0].series(path) == [(1.0, 1.0), (4.0, 3.0)]
    assert [curve.path for group in curve_groups([diverged], WORDS) for curve in group.curves] == [path]


def test_what_was_not_counted_has_no_cost(arm: Rows) -> None:
    a = arm("a", {"tokens/rollout": 100.0, "tokens/generated": 100.0, "tokens/hint": 0.0})
    b = arm("b", {"tokens/rollout": 90.0, "tokens/hint": 30.0, "tokens/generated": 120.0, "time_s/total": 2.0})
    assert [(c.title, c.values, c.is_total) for c in costs([a, b], WORDS)] == [
        ("Hint", (None, 30.0), False),
        ("Rollouts", (100.0, 90.0), False),
        ("All tokens generated", (100.0, 120.0), True),
        ("All seconds", (None, 2.0), True),
    ]


def test_the_page_says_what_a_recipe_changes_and_what_runs_were_made_with(arm: Rows) -> None:
    auxiliaries = [{"name": "hints", "settings": {"k": 2}}]
    a = arm("a", environment={"mel": "1", "versions": {"torch": "2"}}, trainer={"seed": 0, "beta": 0.1})
    b = arm("b", environment={"mel": "1", "versions": {"torch": "3"}}, trainer={"seed": 1}, auxiliaries=auxiliaries)
    more = [{"name": "hints", "settings": {"k": 3}}]
    c = arm("c", trainer={"seed": 0}, auxiliaries=more)
    # c has four keys that a has not or otherwise, and one that b has otherwise.
    assert recipe_changes([a, b, c]) == [
        RecipeChanges(arm="b", like="a", keys=(("auxiliaries.hints", PRESENT, "-"), ("trainer.beta", "-", "0.1"))),
        RecipeChanges(arm="c", like="b", keys=(("auxiliaries.hints.settings.k", "3", "2"),)),
    ]
    assert versions([a, b]) == [("mel", "1"), ("torch", "2, 3")]


def test_a_misconception_falls_in_the_part_from_which_on_it_is_right(arm: Rows) -> None:
    rng = random.Random(0)
    rows = [
        {
            "concept/sorts": 0.0 if step < 12 else 1.0,  # the seventh of twelve parts begins with step 13
            "concept/finds": 0.97 + 0.03 * rng.random(),  # never wrong: not shown
            "concept/loses": 0.4,
        }
        for step in range(24)
    ]
    (chart,) = concept_charts([arm("a", *rows)])
    assert (chart.learned, chart.shown) == (1, 2)
    assert "step 13" in chart.svg
    assert "not yet" in chart.svg
    assert "finds" not in chart.svg
    assert concept_charts([arm("b", {"reward/mean": 1.0})]) == []
