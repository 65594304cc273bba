"""A run that is killed, stopped, cut or short of space, and resumed, ends exactly as one that was never disturbed."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.sessions import Session, Sessions, differences, metrics_of, rollouts_of
from mel.config import load_recipe
from mel.record import RunDirectory
from mel.run import train

pytestmark = pytest.mark.slow

STEPS = 6
CHANGES = [
    # 6 problems make a generation batch, which lasts for 3 steps: 12 of the 14 fill an epoch of two batches.
    "task.count=14",
    "trainer.max_steps=-1",
    "trainer.num_train_epochs=1",
    "trainer.per_device_train_batch_size=16",
    "trainer.steps_per_generation=3",
    # Checkpoints after 2 and 4 steps lie inside a batch.
    "trainer.save_steps=2",
    "trainer.save_total_limit=null",
    "evaluation.suites=[{name: L5, count: 16, k: 0, max_tokens: 44}]",
    "evaluation.every=1",
    "output.rollouts=true",
]
PASSED = "evaluation/L5/pass_at_1"


class Runs:
    """Sessions of `mel train` with one recipe.

    Args:
        changes: of the recipe, beside those of all tests here.
    """

    def __init__(self, sessions: Sessions, *changes: str) -> None:
        self._sessions = sessions
        self._changes = [part for change in (*CHANGES, *changes) for part in ("--set", change)]

    def start(self, path: Path, *more: str, file_size: int | None = None) -> Session:
        arguments = ("train", "recommended", "--output", str(path), *self._changes, *more)
        return self._sessions.start(*arguments, log=log_of(path), file_size=file_size)

    def signaled(self, path: Path, number: int, *, when: Callable[[], bool]) -> int:
        """The status of a new run that gets a signal as soon as something is true."""
        session = self.start(path)
        while not session.has_ended() and not when():
            time.sleep(0.01)
        return session.signal(number)

    def resumed(self, path: Path, *, file_size: int | None = None) -> str:
        """What a session that went on printed; it ended well unless its files were limited."""
        log_of(path).unlink(missing_ok=True)
        status = self.start(path, "--resume", file_size=file_size).wait()
        printed = log_of(path).read_text()
        assert status == (2 if file_size else 0), printed
        return printed


@pytest.fixture(scope="module")
def runs(sessions: Sessions) -> Runs:
    return Runs(sessions)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(load_recipe("recommended", CHANGES), output=tmp_path_factory.mktemp("run") / "undisturbed")


def log_of(path: Path) -> Path:
    return path.with_suffix(".log")


def is_logged(path: Path, step: int) -> bool:
    metrics = path / "metrics.jsonl"
    return metrics.exists() and f'"step": {step},' in metrics.read_text()


def checkpoints_of(path: Path) -> list[str]:
    return sorted(p.name for p in (path / "checkpoints").iterdir() if p.is_dir())


def test_an_epoch_ends_with_its_last_whole_generation_batch(undisturbed: Path) -> None:
    assert RunDirectory.open(undisturbed).status.step == STEPS
    assert [row["step"] for row in metrics_of(undisturbed) if PASSED in row] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in metrics_of(undisturbed) if "reward/mean" in row] == [1, 4]
    # Two generation batches of 6 problems with 8 rollouts.
    assert Counter(row["step"] for row in rollouts_of(undisturbed)) == {1: 48, 4: 48}


def test_a_run_killed_inside_a_generation_batch_and_resumed_equals_an_undisturbed_one(
    runs: Runs, undisturbed: Path, tmp_path: Path
) -> None:
    killed = tmp_path / "killed"
    assert runs.signaled(killed, signal.SIGKILL, when=lambda: is_logged(killed, 5)) == -signal.SIGKILL
    assert "going on from step 4" in runs.resumed(killed)
    assert differences(undisturbed, killed) == []
    assert len(RunDirectory.open(killed).status.resumed_at) == 1


def test_a_run_killed_before_its_first_checkpoint_starts_over(runs: Runs, undisturbed: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    assert runs.signaled(killed, signal.SIGKILL, when=lambda: is_logged(killed, 1)) == -signal.SIGKILL
    assert f"step 4/{STEPS}  " in runs.resumed(killed)
    assert differences(undisturbed, killed) == []


def test_checkpoints_that_were_cut_are_named_and_the_one_before_is_taken(
    runs: Runs, undisturbed: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(undisturbed, cut)
    state = cut / "checkpoints" / f"checkpoint-{STEPS}" / "trainer_state.json"
    state.write_bytes(state.read_bytes()[:1000])
    optimizer = cut / "checkpoints" / "checkpoint-4" / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:1000])
    (cut / "evaluations" / "after-L5" / "result.json").write_text("of weights that will be trained anew")
    printed = runs.resumed(cut)
    assert "checkpoint-6: was not written to its end; deleted, going on from step 2 instead" in printed
    assert "checkpoint-4: optimizer.pt is damaged (1,000 bytes; 3,351,435 were written); set aside as" in printed
    assert checkpoints_of(cut) == ["checkpoint-2", "checkpoint-4", "checkpoint-6", "damaged-checkpoint-4"]
    assert differences(undisturbed, cut) == []


def test_a_run_of_which_no_checkpoint_is_whole_is_refused_and_left_as_it_is(undisturbed: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(undisturbed, damaged)
    for folder in (damaged / "checkpoints").glob("checkpoint-*"):
        (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=r"checkpoint-6: expected a checkpoint to go on from; model.safetensors is"):
        train(load_recipe("recommended", CHANGES), output=damaged, resume=True)
    assert differences(undisturbed, damaged) == []


def test_a_finished_run_that_is_resumed_stays_as_it_is(runs: Runs, undisturbed: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(undisturbed, again)
    shutil.rmtree(again / "evaluations" / "after-L5")
    assert f"all {STEPS} steps are done" in runs.resumed(again)
    assert differences(undisturbed, again) == [], "what a kill kept from being evaluated is evaluated"


def test_sigterm_ends_with_143_after_a_checkpoint_from_which_the_run_goes_on_the_same(
    sessions: Sessions, undisturbed: Path, tmp_path: Path
) -> None:
    # The checkpoint of a signal holds the optimizer although the others do not.
    runs, stopped = Runs(sessions, "trainer.save_only_model=true"), tmp_path / "stopped"
    assert runs.signaled(stopped, signal.SIGTERM, when=lambda: is_logged(stopped, 3)) == 143
    assert "stopped by SIGTERM" in log_of(stopped).read_text()
    status = RunDirectory.open(stopped).status
    assert (status.state, f"checkpoint-{status.step}" in checkpoints_of(stopped)) == ("stopped", True)
    evaluated = [row["step"] for row in metrics_of(stopped) if PASSED in row]
    assert evaluated == list(range(1, status.step)), "the checkpoint comes first, the evaluation when the run goes on"
    runs.resumed(stopped)
    assert differences(undisturbed, stopped) == []


def test_sigterm_before_training_ends_with_143_and_the_run_says_that_it_was_stopped(runs: Runs, tmp_path: Path) -> None:
    stopped = tmp_path / "stopped"
    responses = stopped / "evaluations" / "before-L5" / "responses.jsonl"
    assert runs.signaled(stopped, signal.SIGTERM, when=responses.exists) == 143
    assert RunDirectory.open(stopped).status.state == "stopped"


def test_a_checkpoint_that_does_not_fit_on_the_disk_is_one_line_and_the_run_goes_on_later(
    runs: Runs, undisturbed: Path, tmp_path: Path
) -> None:
    full = tmp_path / "full"
    shutil.copytree(undisturbed, full)
    for step in (4, 6):
        shutil.rmtree(full / "checkpoints" / f"checkpoint-{step}")
    # The weights fit (1.7 MB), the optimizer's state does not (3.4 MB).
    *_, last = runs.resumed(full, file_size=2_500_000).splitlines()
    assert last.startswith("mel: [Errno 28] no space left while saving checkpoint-4: what was written before is whole")
    assert checkpoints_of(full) == ["checkpoint-2"]
    runs.resumed(full)
    assert differences(undisturbed, full) == []


def test_a_run_directory_is_not_overwritten_and_not_resumed_with_another_recipe(undisturbed: Path) -> None:
    with pytest.raises(ValueError, match="a run is already there"):
        train(load_recipe("recommended", CHANGES), output=undisturbed)
    with pytest.raises(ValueError, match="holds a run of another recipe"):
        train(load_recipe("paper", CHANGES), output=undisturbed, resume=True)


def test_the_final_model_loads_as_any_model_and_the_recipe_is_recorded(undisturbed: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    checkpoint = undisturbed / "checkpoints" / f"checkpoint-{STEPS}"
    for path in (undisturbed / "model", checkpoint):
        assert AutoModelForCausalLM.from_pretrained(path).config.model_type == "qwen3"
        assert AutoTokenizer.from_pretrained(path).chat_template
    environment = json.loads((undisturbed / "environment.json").read_text())
    assert environment["recipe_sha256"] == load_recipe("recommended", CHANGES).sha256()
    assert set(environment["prompts"]) == {"story_counts"}
    assert {"torch", "trl", "transformers"} <= set(environment["versions"])
