from collections.abc import Callable
from pathlib import Path

import pytest

from mel.record import RunDirectory, RunDirectoryError
from mel.types import Replayed

RECIPE = {"model": {"name": "miniature:0"}, "auxiliaries": [{"name": "meta_experience", "weight": 1.0}]}
ENVIRONMENT = {"mel": "0.1.0", "seed": 3, "prompts": {"story_counts": "ab12"}}


def test_a_new_run_holds_what_it_was_told(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path / "runs" / "a", RECIPE, ENVIRONMENT) as run:
        files = {"environment.json", "experiences.db", "metrics.jsonl", "recipe.yaml", "status.json"}
        assert {p.name for p in run.path.iterdir()} == files | {"checkpoints", "evaluations"}
    with RunDirectory.open(run.path) as again:
        assert again.recipe == RECIPE
        assert again.environment == ENVIRONMENT
        assert (again.status.state, again.status.step) == ("created", 0)
        assert again.metrics.read() == []
        assert again.experiences.list().total == 0


def test_a_run_is_not_created_over_another_one(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path / "a", RECIPE, ENVIRONMENT)
    with pytest.raises(RunDirectoryError, match=r"a run is already there\. Continue it with --resume"):
        RunDirectory.create(tmp_path / "a", RECIPE, ENVIRONMENT)


def test_a_run_is_not_created_over_a_file_or_a_full_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    for name in ("file", "full"):
        with pytest.raises(RunDirectoryError, match=r"something is already there\. Choose another"):
            RunDirectory.create(tmp_path / name, RECIPE, ENVIRONMENT)


def test_an_empty_directory_can_become_a_run(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path, RECIPE, ENVIRONMENT)
    assert RunDirectory.open(tmp_path).recipe == RECIPE


def test_what_is_no_run_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="there is no such directory"):
        RunDirectory.open(tmp_path / "gone")
    with pytest.raises(
        RunDirectoryError, match=r"it lacks recipe\.yaml, environment\.json, status\.json, experiences\.db"
    ):
        RunDirectory.open(tmp_path)


def test_the_status_says_where_a_run_stands(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "a", RECIPE, ENVIRONMENT)
    run.set_status("running", step=4)
    run.set_status("failed", message="out of memory")
    status = RunDirectory.open(run.path).status
    assert (status.state, status.step, status.message) == ("failed", 4, "out of memory")


def test_a_resume_drops_what_lies_after_the_checkpoint(tmp_path: Path, make_replayed: Callable[..., Replayed]) -> None:
    run = RunDirectory.create(tmp_path / "a", RECIPE, ENVIRONMENT)
    for step in (1, 2, 3):
        run.metrics.append(step, {"reward/mean": 0.1 * step})
        run.experiences.write_step(step, [make_replayed()] * step)
    run.close()
    with RunDirectory.open(run.path) as resumed:
        dropped = resumed.truncate_after(1)
        assert (dropped.metrics, dropped.experiences) == (2, 5)
        assert [row["step"] for row in resumed.metrics.read()] == [1]
        assert resumed.experiences.list().total == 1
        assert (resumed.status.state, resumed.status.step) == ("running", 1)
        assert len(resumed.status.resumed_at) == 1


def test_evaluations_are_found_by_name(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "a", RECIPE, ENVIRONMENT)
    path = run.evaluation("heldout-l8")
    assert path.is_dir()
    assert run.evaluations == {"heldout-l8": path}
    with pytest.raises(ValueError, match=r"expected a plain word .* got '\.\./out'"):
        run.evaluation("../out")
