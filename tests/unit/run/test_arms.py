import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mel.record import RunDirectory
from mel.run.arms import Arm


def test_a_run_whose_directory_is_still_being_made_has_logged_nothing(tmp_path: Path) -> None:
    arm = Arm(name="grpo", recipe="grpo", path=tmp_path / "run", changes=(), steps=2)
    assert arm.logged == []
    with RunDirectory.create(arm.path, {"name": "grpo"}, {}) as run:
        run.metrics.append(1, {"reward/mean": 0.5})
        assert [row["reward/mean"] for row in arm.logged] == [0.5]
        (arm.path / "recipe.yaml").unlink()  # as it is when all else has been written
        assert arm.logged == []


CHILD = """
import time
from mel.launch import end_with_parent
end_with_parent()
print("bound", flush=True)
time.sleep(60)
"""

PARENT = f"""
import os, subprocess, sys, time
from mel.launch import bound_to_this_process
environment = os.environ | bound_to_this_process()
process = subprocess.Popen([sys.executable, "-c", {CHILD!r}], env=environment, stdout=subprocess.PIPE)
print(process.pid, process.stdout.readline().decode(), flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has ended")
def test_the_runs_of_a_killed_study_end_with_it() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child, word = parent.stdout.readline().split()
    assert word == "bound"
    assert Path(f"/proc/{child}").exists()
    parent.kill()
    parent.communicate()
    give_up = time.monotonic() + 10
    while is_running(child):
        assert time.monotonic() < give_up
        time.sleep(0.02)


def is_running(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_command_that_nobody_bound_outlives_its_parent() -> None:
    code = "import os; from mel.launch import end_with_parent; end_with_parent(); print('goes on')"
    environment = {name: value for name, value in os.environ.items() if name != "MEL_PARENT"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == "goes on\n"


@pytest.mark.parametrize("name", ["environment.json", "experiences.db-wal", "recipe.yaml.part"])
def test_what_a_killed_start_leaves_is_removed(tmp_path: Path, name: str) -> None:
    path = tmp_path / "run"
    (path / "checkpoints").mkdir(parents=True)
    (path / name).touch()
    RunDirectory.remove_half_made(path)
    assert not path.exists()


@pytest.mark.parametrize("name", ["thesis.tex", "checkpoints/checkpoint-4/model.safetensors", "recipe.yaml"])
def test_a_directory_that_holds_anything_else_is_kept(tmp_path: Path, name: str) -> None:
    path = tmp_path / "run"
    (path / name).parent.mkdir(parents=True)
    (path / name).touch()
    RunDirectory.remove_half_made(path)
    assert (path / name).exists()
