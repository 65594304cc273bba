"""The command line with real processes: a run that still runs is neither resumed nor evaluated, and nobody is told."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SETS = ["evaluation.suites=[]", "evaluation.every=null", "trainer.max_steps=500", "trainer.save_strategy='no'"]
TRAIN = ["train", "grpo", *(part for change in SETS for part in ("--set", change))]

WATCHED = """
import socket, sys
ask = socket.getaddrinfo
def told(host, *rest, **more):
    print("LOOKED UP", host, file=sys.stderr, flush=True)
    return ask(host, *rest, **more)
socket.getaddrinfo = told
from mel.cli import main
main()
"""
"""`mel`, saying every host that it looks up."""


def mel(*words: str) -> list[str]:
    return [sys.executable, "-m", "mel", *words]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int, Path]]:
    """A run in its first steps, with its process and what it says on stderr."""
    path = tmp_path_factory.mktemp("one_writer") / "run"
    said = path.parent / "stderr"
    # As a user has it: the variables with which tests keep the hub away are gone.
    kept_away = ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY", "DO_NOT_TRACK", "CI")
    environment = {name: value for name, value in os.environ.items() if name not in kept_away}
    command = [sys.executable, "-c", WATCHED, *TRAIN, "--output", str(path)]
    with said.open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process:
        try:
            while not (path / "metrics.jsonl").exists() or not (path / "metrics.jsonl").read_text():
                assert process.poll() is None, said.read_text()
                time.sleep(0.1)
            yield path, process.pid, said
        finally:
            process.kill()


def test_a_run_that_still_runs_is_not_resumed(running: tuple[Path, int, Path]) -> None:
    path, process, _ = running
    second = subprocess.run(mel(*TRAIN, "--output", str(path), "--resume"), capture_output=True, text=True)
    assert second.returncode == 2
    assert re.fullmatch(rf"mel: .*process {process} on {socket.gethostname()} writes it now.*\n", second.stderr)


def test_an_evaluation_does_not_write_into_a_run_that_still_runs(running: tuple[Path, int, Path]) -> None:
    path, process, _ = running
    (path / "model").mkdir(exist_ok=True)
    answers = path.parent / "answers.jsonl"
    answers.write_text("{}\n")
    suite = "evaluation.suites=[{name: L5, count: 4, k: 0, max_tokens: 44}]"
    words = ("--recipe", "grpo", "--set", suite, "--from", str(answers))
    second = subprocess.run(mel("eval", str(path), *words), capture_output=True, text=True)
    assert second.returncode == 2
    assert f"process {process} on" in second.stderr
    assert not any((path / "evaluations").iterdir())


def test_training_looks_up_no_host(running: tuple[Path, int, Path]) -> None:
    assert "LOOKED UP" not in running[2].read_text()
