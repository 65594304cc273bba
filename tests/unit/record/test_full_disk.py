"""A disk that is really full: a small tmpfs where root may mount one, and a file size limit."""

import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mel.record import DiskFullError, ExperienceStore, MetricsLog, RunDirectory
from mel.types import Replayed


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root on Linux")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(path)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_full_disk_loses_the_step_it_could_not_write_and_no_other(
    small_disk: Path, make_replayed: Callable[..., Replayed]
) -> None:
    with ExperienceStore.create(small_disk / "experiences.db") as store:
        expected = r"no space left while writing the experiences of step \d+.*--resume"
        step = _first_failure(expected, lambda s: store.write_step(s, [make_replayed(critique="long " * 200)] * 4))
        assert step > 1
        assert store.list().total == 4 * (step - 1)


def test_a_full_disk_leaves_whole_metric_lines(small_disk: Path) -> None:
    log = MetricsLog(small_disk / "metrics.jsonl")
    expected = r"no space left while logging the metrics of step \d+"
    step = _first_failure(expected, lambda s: log.append(s, {"reward/mean": 0.5, "note": "x" * 500}))
    assert [row["step"] for row in log.read()] == list(range(1, step))
    assert log.truncate_after(step) == 0


def _first_failure(expected: str, write: Callable[[int], None]) -> int:
    """The first step that could not be written; fails if that does not happen, or for another reason."""
    for step in range(1, 10_000):
        try:
            write(step)
        except DiskFullError as error:
            if re.search(expected, str(error)):
                return step
            raise
    raise AssertionError("the disk never filled up")


def test_a_run_directory_is_not_created_on_a_full_disk(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(b"x" * 240_000)
    with pytest.raises(DiskFullError, match="no space left while"):
        RunDirectory.create(small_disk / "run", {"a": "x" * 40_000}, {})


def test_a_file_size_limit_is_said_plainly(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.append(1, {"a": 1.0})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60, hard))
    try:
        with pytest.raises(DiskFullError, match="file size limit"):
            log.append(2, {"note": "x" * 200})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [row["step"] for row in log.read()] == [1]
