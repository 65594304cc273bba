"""`mel train` on two processes, as torchrun starts them: told to stop by a signal to one of them, and gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as parquet
import pytest
from safetensors.numpy import load_file

from mel.evaluate.result import read_result
from mel.record import RunDirectory

pytestmark = pytest.mark.slow

STEPS = 5
CHANGES = [
    f"trainer.max_steps={STEPS}",
    "trainer.save_steps=10",
    "trainer.per_device_train_batch_size=16",
    # A generation batch lasts for two steps; stopped in step 3, each rank keeps its part of one.
    "trainer.steps_per_generation=2",
    "evaluation.suites=[{name: L5, count: 8, k: 0, max_tokens: 44}]",
    "evaluation.before=false",
    "evaluation.every=null",
    "output.rollouts=true",
]
LAUNCHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "mel"]


def command(output: Path, *more: str) -> list[str]:
    sets = [part for change in CHANGES for part in ("--set", change)]
    return [*LAUNCHER, "train", "recommended", "--output", str(output), *sets, *more]


def finish(output: Path, *more: str) -> None:
    done = subprocess.run(command(output, *more), capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def ranks_of(launcher: subprocess.Popen[str]) -> dict[int, int]:
    """Rank -> process id of the workers."""
    children = psutil.Process(launcher.pid).children()
    return {int(c.environ()["RANK"]): c.pid for c in children if "RANK" in c.environ()}


def logged_rollouts(run: Path) -> list[tuple[tuple[int, ...], str]]:
    """Place (step, batch, group, rollout) and response of every rollout in the log, in its order."""
    rows = [
        row for file in sorted((run / "rollouts").glob("*.parquet")) for row in parquet.read_table(file).to_pylist()
    ]
    return [(tuple(row[name] for name in ("step", "batch", "group", "rollout")), row["response"]) for row in rows]


def stop_rank_1_in_step(output: Path, step: int) -> str:
    """What the launcher printed of a run whose second rank alone got SIGTERM."""
    with subprocess.Popen(
        command(output), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ)
    ) as launcher:
        metrics = output / "metrics.jsonl"
        while launcher.poll() is None and not (metrics.exists() and f'"step": {step},' in metrics.read_text()):
            time.sleep(0.02)
        os.kill(ranks_of(launcher)[1], signal.SIGTERM)
        printed, _ = launcher.communicate(timeout=300)
    # The launcher names the status of the first rank that ended, ends the others (-15 or 143), and ends with 1 itself.
    root_cause = printed.rpartition("Root Cause")[2]
    assert (launcher.returncode, "exitcode  : 143" in root_cause) == (1, True), printed
    return printed


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ranks") / "undisturbed"
    finish(path)
    return path


def test_two_processes_train_one_policy(undisturbed: Path) -> None:
    run = RunDirectory.open(undisturbed)
    assert run.environment["processes"] == 2
    rows = [row for row in run.metrics.read() if "reward/mean" in row]
    assert [row["step"] for row in rows] == [1, 3, 5], "a generation batch lasts for two steps"
    assert all(row["experience/groups"] == 8 for row in rows), "of 2 ranks, each with 2 x 16 rollouts in groups of 8"
    assert run.experiences.ledger().candidates == sum(row["experience/candidates"] for row in rows)
    # Two ranks with 4 groups each, in the batches of steps 1, 3 and 5.
    assert [place for place, _ in logged_rollouts(undisturbed)] == [
        (step, 0, group, rollout) for step in (1, 3, 5) for group in range(8) for rollout in range(8)
    ]
    assert read_result(run.evaluation("after-L5")).problems == 8, "evaluated by one of the ranks"


def test_a_signal_to_one_rank_stops_both_after_the_same_step_and_the_resumed_run_is_the_same(
    undisturbed: Path, tmp_path: Path
) -> None:
    stopped = tmp_path / "stopped"
    assert "stopped by SIGTERM" in stop_rank_1_in_step(stopped, step=2)
    with RunDirectory.open(stopped) as run:
        assert run.environment["processes"] == 2
        assert (run.status.state, run.status.step < STEPS) == ("stopped", True)
        assert [p.name for p in run.checkpoints.glob("checkpoint-*")] == [f"checkpoint-{run.status.step}"]
    finish(stopped, "--resume")
    expected, resumed = (load_file(path / "model" / "model.safetensors") for path in (undisturbed, stopped))
    assert all((expected[name] == resumed[name]).all() for name in expected)
    ledgers = [RunDirectory.open(path).experiences.ledger() for path in (undisturbed, stopped)]
    assert ledgers[0] == ledgers[1]
    assert ledgers[0].candidates > 0
    assert logged_rollouts(stopped) == logged_rollouts(undisturbed)
