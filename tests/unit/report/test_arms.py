from collections.abc import Callable
from pathlib import Path

import pytest

from mel.record import RunDirectory
from mel.report.arms import read_arms, read_run
from mel.report.comparison import compare

Make = Callable[..., Path]


def test_a_run_is_read_with_everything_a_report_needs(make_run: Make) -> None:
    run = read_run(make_run("recommended", seed=3))
    assert (run.label, run.seed, run.status.state, run.status.step) == ("recommended, seed 3", 3, "finished", 8)
    assert [x for x, _ in run.series("reward/mean")] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert run.last("tokens/generated") == run.metrics[-1]["tokens/generated"]
    assert run.last("no/such") is None
    assert run.ledger.candidates > run.ledger.kept > 0
    assert set(run.after) == {"heldout", "heldout-l8"}


def test_runs_that_differ_in_their_seed_only_are_one_arm(make_run: Make) -> None:
    paths = [make_run("grpo", seed=1, mel=False), make_run("recommended", seed=0), make_run("grpo", seed=0, mel=False)]
    arms = read_arms(paths)
    assert [(arm.name, arm.seeds) for arm in arms] == [("grpo", (0, 1)), ("recommended", (0,))]


def test_the_run_of_a_study_that_evaluates_the_untrained_policy_is_of_the_same_arm(make_run: Make) -> None:
    first, second = make_run("grpo", seed=0), make_run("grpo", seed=1)
    for path, before in ((first, True), (second, False)):
        recipe = RunDirectory.open(path).recipe
        RunDirectory.open(path).set_recipe({**recipe, "evaluation": {"before": before, "k": 8}})
    assert [(arm.name, arm.seeds) for arm in read_arms([first, second])] == [("grpo", (0, 1))]


def test_runs_of_one_name_and_another_recipe_are_arms_of_their_own(make_run: Make) -> None:
    first, second = make_run("grpo", seed=0), make_run("grpo", seed=1, steps=9)
    assert [arm.name for arm in read_arms([first, second])] == ["grpo (grpo-s0)", "grpo (grpo-s1)"]


def test_the_same_run_twice_is_refused(make_run: Make) -> None:
    path = make_run("grpo")
    with pytest.raises(ValueError, match="one was given twice"):
        read_arms([path, path / ".." / path.name])
    with pytest.raises(ValueError, match="at least one run directory; got none"):
        read_arms([])


def test_an_evaluation_without_a_result_is_named_not_counted(make_run: Make) -> None:
    path = make_run("grpo")
    with RunDirectory.open(path) as run:
        run.evaluation("aime24")
    assert read_run(path).unfinished == ("aime24",)


def test_costs_by_phase_add_up_over_steps_and_generation_batches(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path / "a", {"name": "a"}, {}) as run:
        # Two generation batches per step, logged every second step, as means per batch.
        first = {"tokens/rollout": 100, "tokens/replay": 20, "tokens/generated": 2 * 2 * 120}
        run.metrics.append(2, first | {"time_s/rollout": 1.0, "time_s/update": 3.0})
        run.metrics.append(3, {"evaluation/heldout/pass_at_1": 0.5})
        second = {"tokens/rollout": 80, "tokens/generated": 2 * 2 * 120 + 2 * 2 * 80}
        run.metrics.append(4, second | {"time_s/rollout": 0.5, "time_s/update": 1.0})
    found = read_run(tmp_path / "a")
    assert found.total("tokens/rollout") == 2 * (2 * 100 + 2 * 80)
    assert found.total("tokens/replay") == 2 * 2 * 20
    assert found.total("time_s/rollout") == 2 * (2 * 1.0 + 2 * 0.5)
    assert found.total("time_s/update") == 2 * 3.0 + 2 * 1.0
    assert found.total("tokens/generated") == 800
    assert found.total("tokens/construct") is None


def test_scores_and_differences_are_means_over_seeds_and_problems(make_run: Make) -> None:
    arms = read_arms([make_run(n, seed=s, gain=g) for n, g in (("a", 0.1), ("b", 0.7)) for s in (0, 1)])
    comparison = compare(arms)
    assert [(c.evaluation, c.label) for c in comparison.columns] == [
        (suite, label) for suite in ("heldout", "heldout-l8") for label in ("Pass@1", "Avg@8", "Pass@8")
    ]
    first, second = comparison.rows
    by_hand = [sum(r.after["heldout"].greedy_scores().values()) / 32 for r in arms[1].runs]
    assert second.cells[0].score is not None
    assert second.cells[0].score.value == pytest.approx(sum(by_hand) / 2)
    assert first.cells[0].difference is None
    difference = second.cells[0].difference
    assert difference is not None
    assert difference.value == pytest.approx(second.cells[0].score.value - first.cells[0].score.value)
    assert difference.low <= difference.value <= difference.high
    assert first.tokens == pytest.approx(sum(r.last("tokens/generated") for r in arms[0].runs) / 2)


def test_arms_without_a_shared_seed_have_no_paired_difference(make_run: Make) -> None:
    comparison = compare(read_arms([make_run("a", seed=0), make_run("b", seed=1)]))
    assert [cell.difference for cell in comparison.rows[1].cells] == [None] * 6
    assert comparison.rows[1].cells[0].score is not None


def test_the_untrained_policy_is_a_row_of_its_own(make_run: Make) -> None:
    path = make_run("grpo")
    (path / "evaluations" / "after-heldout").rename(path / "evaluations" / "before-heldout")
    (path / "evaluations" / "after-heldout-l8").rename(path / "evaluations" / "after-heldout")
    comparison = compare(read_arms([path]))
    assert {c.evaluation for c in comparison.columns} == {"heldout"}
    before, after = comparison.rows
    assert (before.arm, before.seeds, before.tokens) == ("before training", (), None)
    assert before.cells[0].score is not None
    assert after.cells[0].score is not None
