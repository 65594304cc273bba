"""One process writes a run directory; real processes try to be the second."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mel.record import RunBusyError, RunDirectory
from mel.record.lock import only_writer

HOLD = """
import os, sys, time
from pathlib import Path
from mel.record.lock import only_writer
with only_writer(Path(sys.argv[1])):
    {then}
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def holder(run: Path, then: str = "pass") -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD.format(then=then), str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_second_writer_is_refused_with_the_host_and_the_process_of_the_first(tmp_path: Path) -> None:
    with holder(tmp_path) as first, pytest.raises(RunBusyError) as refused, only_writer(tmp_path):
        pass
    assert f"process {first.pid} on {socket.gethostname()} writes it now" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_killed_writer_leaves_a_directory_that_the_next_one_takes(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        with only_writer(tmp_path):
            assert f"process {os.getpid()} " in (tmp_path / "lock").read_text()


def test_a_forked_worker_that_outlives_its_killed_writer_does_not_keep_the_lock(tmp_path: Path) -> None:
    # The worker holds the other end of stdout, so that its life can be seen here. The writer waits until it runs.
    runs = "r, w = os.pipe(); os.fork() or (os.write(w, b'.'), time.sleep(3), os._exit(0)); os.read(r, 1)"
    with holder(tmp_path, then=runs) as first:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        with only_writer(tmp_path):
            assert first.stdout is not None
            before = time.monotonic()
            first.stdout.read()
            assert time.monotonic() - before > 1, "the worker was still alive"


def test_a_writer_that_has_ended_lets_the_next_one_in_and_readers_need_no_lock(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path / "run", {"name": "mine"}, {}).close()
    for _ in range(2):
        with only_writer(tmp_path / "run"), RunDirectory.open(tmp_path / "run") as reader:
            assert reader.recipe == {"name": "mine"}


def test_an_error_in_a_run_releases_its_lock(tmp_path: Path) -> None:
    def fail(error: Callable[[], BaseException]) -> None:
        with only_writer(tmp_path):
            raise error()

    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error):
            fail(error)
    with only_writer(tmp_path):
        pass
