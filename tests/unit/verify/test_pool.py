"""The pool with judges of its own: whoever judges, the worker keeps the limits."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mel.verify import Limits, WorkerPool
from mel.verify.worker import JudgeName

SLOW = JudgeName(module="slow_judges", preload="slow_judges", extra="none")


sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="module")
def strict_pool() -> Iterator[WorkerPool]:
    with WorkerPool(Limits(cpu_s=0.2, workers=1), judge=SLOW, max_chunk=1) as pool:
        pool.judge([("talk", 1.0)])
        yield pool


def test_a_judge_named_by_its_module_judges_and_gives_its_score(strict_pool: WorkerPool):
    judgment = strict_pool.judge([("talk", 3.0)])[0]
    assert (judgment.is_correct, judgment.reason, judgment.detail, judgment.score) == (True, "right", "xxx", 1.0)


def test_processor_time_ends_a_job_and_its_neighbors_are_judged(strict_pool: WorkerPool):
    busy, good = strict_pool.judge([("compute", 9.0), ("talk", 2.0)])
    assert (busy.reason, busy.detail) == ("timeout", "killed after 0.2 s of processor time")
    assert good.is_correct


def test_the_clock_ends_a_job_that_waits():
    with WorkerPool(Limits(timeout_s=0.3, workers=1), judge=SLOW, max_chunk=1) as pool:
        assert pool.judge([("sleep", 900.0)])[0][:3] == (False, "timeout", "killed after 0.3 s")


def test_a_job_that_waits_longer_than_it_may_compute_is_judged_though_the_host_is_too_busy_to_listen(
    strict_pool: WorkerPool,
):
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(strict_pool.judge, [("sleep", 0.4)])
        end = time.monotonic() + 0.8
        while time.monotonic() < end:
            sum(range(10**7))  # one call into C, which no other thread of this process can interrupt
        assert found.result()[0].is_correct


def test_a_detail_is_cut_at_its_limit(strict_pool: WorkerPool):
    assert len(strict_pool.judge([("talk", 5000.0)])[0].detail) == 2000


def test_an_answer_that_ends_its_worker_with_code_0_is_noticed_at_once(strict_pool: WorkerPool):
    began = time.monotonic()
    quiet, loud, good = strict_pool.judge([("exit", 0.0), ("exit", 3.0), ("talk", 2.0)])
    assert (quiet.reason, quiet.detail) == ("crash", "the worker ended with exit code 70")
    assert (loud.reason, loud.detail) == ("crash", "the worker ended with exit code 3")
    assert good.is_correct
    assert time.monotonic() - began < 60  # it took 140 s
