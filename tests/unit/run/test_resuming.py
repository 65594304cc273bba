"""A run goes on from the latest checkpoint without a problem; later ones are out of its way, and nothing is silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from mel.config import load_recipe
from mel.prepared import Checkpoint
from mel.record import RunDirectory
from mel.run.resuming import clear, latest, other_keys, other_processes


def checkpoint(folder: Path, step: int, problem: str = "", *, is_finished: bool = True) -> Checkpoint:
    path = folder / f"checkpoint-{step}"
    path.mkdir()
    (path / "model").write_text(f"of step {step}")
    return Checkpoint(path=path, step=step, problem=problem, is_finished=is_finished)


def test_a_run_without_checkpoints_starts_over(tmp_path: Path) -> None:
    resumption = latest([])
    assert (resumption.checkpoint, resumption.step) == (None, 0)
    assert clear(resumption) == ["there is no checkpoint to go on from: starting over"]


def test_later_checkpoints_are_deleted_if_they_were_never_whole_and_set_aside_if_they_were(tmp_path: Path) -> None:
    found = [
        checkpoint(tmp_path, 1, "optimizer.pt is missing"),
        checkpoint(tmp_path, 2),
        checkpoint(tmp_path, 3, "optimizer.pt is missing"),
        checkpoint(tmp_path, 4, "was not written to its end", is_finished=False),
    ]
    resumption = latest(found)
    assert resumption.checkpoint == found[1]
    assert clear(resumption) == [
        f"{tmp_path}/checkpoint-3: optimizer.pt is missing; set aside as damaged-checkpoint-3, going on from step 2 "
        "instead",
        f"{tmp_path}/checkpoint-4: was not written to its end; deleted, going on from step 2 instead",
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-1", "checkpoint-2", "damaged-checkpoint-3"]
    assert (tmp_path / "damaged-checkpoint-3" / "model").read_text() == "of step 3"


def test_what_was_set_aside_before_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "damaged-checkpoint-3").mkdir()
    clear(latest([checkpoint(tmp_path, 2), checkpoint(tmp_path, 3, "optimizer.pt is missing")]))
    assert (tmp_path / "damaged-checkpoint-3-2" / "model").read_text() == "of step 3"


def test_a_kill_within_the_first_checkpoint_starts_the_run_over(tmp_path: Path) -> None:
    resumption = latest([checkpoint(tmp_path, 1, "was not written to its end", is_finished=False)])
    assert resumption.step == 0
    clear(resumption)
    assert not list(tmp_path.iterdir())


def test_steps_whose_checkpoint_was_whole_once_are_not_done_again_unasked(tmp_path: Path) -> None:
    damaged = checkpoint(tmp_path, 3, "optimizer.pt is damaged (2 bytes; 5 were written)")
    unfinished = checkpoint(tmp_path, 4, "was not written to its end", is_finished=False)
    with pytest.raises(ValueError, match=r"checkpoint-3: expected .*; optimizer.pt is damaged .2 bytes; 5 were"):
        latest([damaged, unfinished])


def test_another_number_of_processes_is_said() -> None:
    assert other_processes(2, 2) == []
    (said,) = other_processes(2, 1)
    assert said.startswith("the run was begun by 2 processes and goes on with 1: with other random streams")


def test_a_run_of_another_recipe_is_told_by_the_keys_that_differ(tmp_path: Path) -> None:
    changes = ("trainer.learning_rate=1e-4", "auxiliaries.meta_experience.settings.pairs_per_group=3")
    RunDirectory.create(tmp_path / "run", load_recipe("recommended").resolved(), {}).close()
    directory = RunDirectory.open(tmp_path / "run")
    assert other_keys(directory, load_recipe("recommended")) == ""
    there = load_recipe("recommended").trainer["learning_rate"]
    assert other_keys(directory, load_recipe("recommended", changes)) == (
        "auxiliaries.0.settings.pairs_per_group: 2 there, 3 asked for; "
        f"trainer.learning_rate: {there} there, 0.0001 asked for"
    )


def test_a_key_that_an_older_version_did_not_know_counts_with_its_default(tmp_path: Path) -> None:
    then = load_recipe("grpo").resolved()
    del then["task"]["opening"]
    RunDirectory.create(tmp_path / "run", then, {}).close()
    directory = RunDirectory.open(tmp_path / "run")
    assert other_keys(directory, load_recipe("grpo")) == ""
    assert "task.opening" in other_keys(directory, load_recipe("grpo", ("task.opening=[{role: system, content: Hi}]",)))
