"""A run killed with -9 in the middle of a step and resumed ends exactly as one that was never disturbed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from mel.config import load_recipe
from mel.record import RunDirectory
from mel.run import train

pytestmark = pytest.mark.slow

STEPS, SAVE_EVERY = 6, 2
CHANGES = [
    f"trainer.max_steps={STEPS}",
    f"trainer.save_steps={SAVE_EVERY}",
    "trainer.save_total_limit=null",
    "evaluation.suites=[{name: L5, count: 16, k: 0, max_tokens: 44}]",
    "evaluation.every=3",
]
CLOCK = ("time", "step_time", "runtime", "per_second")
"""Parts of the names of metrics that measure the clock and not the run."""


def command(output: Path, *more: str) -> list[str]:
    sets = [part for change in CHANGES for part in ("--set", change)]
    return [sys.executable, "-m", "mel", "train", "recommended", "--output", str(output), *sets, *more]


def kill_after_step(output: Path, step: int) -> None:
    """Start a run and kill it without warning once that step is logged: it is then within the next one."""
    with subprocess.Popen(command(output), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        metrics = output / "metrics.jsonl"
        while process.poll() is None:
            if metrics.exists() and f'"step": {step},' in metrics.read_text():
                time.sleep(0.2)
                os.kill(process.pid, signal.SIGKILL)
                break
            time.sleep(0.02)
        assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"


def metrics_of(path: Path) -> list[dict[str, object]]:
    rows = RunDirectory.open(path).metrics.read()
    return [{k: v for k, v in row.items() if not any(word in k for word in CLOCK)} for row in rows]


def experiences_of(path: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(path / "experiences.db") as connection:
        return connection.execute(
            "SELECT step, rank, idx, problem_id, right_text, wrong_text, raw, reason, is_kept FROM experiences "
            "ORDER BY step, rank, idx"
        ).fetchall()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(load_recipe("recommended", CHANGES), output=tmp_path_factory.mktemp("run") / "undisturbed")


def test_a_killed_and_resumed_run_equals_an_undisturbed_one(undisturbed: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    kill_after_step(killed, step=5)
    assert max(row["step"] for row in RunDirectory.open(killed).metrics.read()) == 5
    subprocess.run(command(killed, "--resume"), check=True, capture_output=True)

    expected, resumed = (load_file(path / "model" / "model.safetensors") for path in (undisturbed, killed))
    assert expected.keys() == resumed.keys()
    assert all((expected[name] == resumed[name]).all() for name in expected)
    assert metrics_of(killed) == metrics_of(undisturbed)
    assert experiences_of(killed) == experiences_of(undisturbed)
    assert RunDirectory.open(killed).status.state == "finished"
    assert len(RunDirectory.open(killed).status.resumed_at) == 1


def test_a_run_killed_before_its_first_checkpoint_starts_over(undisturbed: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    kill_after_step(killed, step=1)
    subprocess.run(command(killed, "--resume"), check=True, capture_output=True)
    assert metrics_of(killed) == metrics_of(undisturbed)
    assert experiences_of(killed) == experiences_of(undisturbed)


def test_a_checkpoint_that_was_cut_within_its_last_file_is_passed_over(undisturbed: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(undisturbed, cut)
    state = cut / "checkpoints" / f"checkpoint-{STEPS}" / "trainer_state.json"
    state.write_bytes(state.read_bytes()[:1000])
    result = cut / "evaluations" / "after-L5" / "result.json"
    result.write_text("of weights that will be trained anew")
    subprocess.run(command(cut, "--resume"), check=True, capture_output=True)
    assert metrics_of(cut) == metrics_of(undisturbed)
    assert experiences_of(cut) == experiences_of(undisturbed)
    assert json.loads(state.read_text())["global_step"] == STEPS
    assert json.loads(result.read_text())["problems"] == 16


def test_a_finished_run_that_is_resumed_stays_as_it_is(undisturbed: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(undisturbed, again)
    shutil.rmtree(again / "evaluations" / "after-L5")
    done = subprocess.run(command(again, "--resume"), check=True, capture_output=True, text=True)
    assert f"all {STEPS} steps are done" in done.stdout
    assert (again / "model" / "model.safetensors").read_bytes() == (
        undisturbed / "model" / "model.safetensors"
    ).read_bytes()
    assert metrics_of(again) == metrics_of(undisturbed)
    assert experiences_of(again) == experiences_of(undisturbed)
    results = (json.loads((p / "evaluations" / "after-L5" / "result.json").read_text()) for p in (undisturbed, again))
    assert len({json.dumps(r["scores"]) for r in results}) == 1, "what a kill kept from being evaluated is evaluated"
    assert RunDirectory.open(again).status.state == "finished"


def test_sigterm_saves_a_checkpoint_and_the_resumed_run_is_the_same(undisturbed: Path, tmp_path: Path) -> None:
    stopped = tmp_path / "stopped"
    with subprocess.Popen(command(stopped), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        metrics = stopped / "metrics.jsonl"
        while process.poll() is None and not (metrics.exists() and '"step": 3,' in metrics.read_text()):
            time.sleep(0.02)
        process.terminate()
        output, _ = process.communicate()
    assert process.returncode == 0, output
    assert "stopped by SIGTERM" in output
    assert RunDirectory.open(stopped).status.state == "stopped"
    subprocess.run(command(stopped, "--resume"), check=True, capture_output=True)
    assert metrics_of(stopped) == metrics_of(undisturbed)


def test_an_evaluation_that_is_due_when_a_run_is_told_to_stop_is_made_when_it_goes_on(tmp_path: Path) -> None:
    often = ("--set", "evaluation.every=1", "--set", "trainer.max_steps=4", "--set", "evaluation.before=false")
    undisturbed, stopped = tmp_path / "undisturbed", tmp_path / "stopped"
    subprocess.run(command(undisturbed, *often), check=True, capture_output=True)
    with subprocess.Popen(command(stopped, *often), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        metrics = stopped / "metrics.jsonl"
        while process.poll() is None and not (metrics.exists() and '"step": 2,' in metrics.read_text()):
            time.sleep(0.02)
        process.terminate()
    last = RunDirectory.open(stopped).status.step
    evaluated = [row["step"] for row in RunDirectory.open(stopped).metrics.read() if "evaluation/L5/pass_at_1" in row]
    assert last not in evaluated, "the checkpoint comes first"
    subprocess.run(command(stopped, *often, "--resume"), check=True, capture_output=True)
    assert metrics_of(stopped) == metrics_of(undisturbed)
    assert sum("evaluation/L5/pass_at_1" in row for row in metrics_of(stopped)) == 4


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
