"""A pool of killable worker processes: every job gets a judgment within its limits, whoever judges.

The workers come from a fork server that has the judge loaded and warmed, so replacing a killed one takes
milliseconds, and that never runs the host's own script: it works from any thread, under `torchrun`, beside CUDA,
and from scripts without an ``if __name__ == "__main__"`` guard. POSIX only.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import forkserver, process, util
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import TYPE_CHECKING, Any

from mel.verify.worker import CallLimits, JudgeName, Judgment, initialize, judge_all

if TYPE_CHECKING:
    from pebble import ProcessPool

_CHUNKS_PER_WORKER = 4
_MAX_CHUNK = 32
_TASKS_PER_WORKER = 1000  # a worker is replaced after that many chunks, whatever sympy's caches have grown to
_START_S = 120.0
_KILL_S = 5.0
_PATIENCE = 60.0

MATHEMATICS = JudgeName(module="mel.verify.symbolic", preload="mel.verify.preload", extra="math")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one verification may use.

    Args:
        cpu_s: seconds of processor time per answer, of its worker, before that is killed.
        timeout_s: wall-clock seconds per answer, by the worker's own clock, for what waits and does not compute; None
            for sixty times `cpu_s`, since on a busy machine a worker waits for a core most of the time.
        memory_mb: address space of a worker process; about 300 MB are taken by the loaded libraries.
        workers: processes; None for the cores this process may use, shared among the ranks of a node.
    """

    cpu_s: float = 5.0
    timeout_s: float | None = None
    memory_mb: int = 2048
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.cpu_s <= 0:
            raise ValueError(f"expected cpu_s > 0, got {self.cpu_s}")
        if self.timeout_s is not None and self.timeout_s <= 0:
            raise ValueError(f"expected timeout_s > 0 or None for sixty times cpu_s, got {self.timeout_s}")
        if self.memory_mb < 512:
            raise ValueError(f"expected memory_mb >= 512 (the libraries alone take 300), got {self.memory_mb}")
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"expected workers >= 1 or None for one per core, got {self.workers}")

    @property
    def wall_s(self) -> float:
        """Wall-clock seconds per answer."""
        return _PATIENCE * self.cpu_s if self.timeout_s is None else self.timeout_s


class WorkerPool:
    """Judges jobs in parallel and in order; started at first use, replaced after a fork, closed at exit.

    Args:
        judge: who judges, by the name of a module that the workers load.
        max_chunk: jobs that travel together at most; 1 where a job takes longer than its way.
    """

    def __init__(
        self, limits: Limits | None = None, *, judge: JudgeName = MATHEMATICS, max_chunk: int = _MAX_CHUNK
    ) -> None:
        self.limits = limits or Limits()
        self.judge_name = judge
        self._max_chunk = max_chunk
        self.workers = self.limits.workers or default_workers()
        self._lock = threading.Lock()
        self._pool: ProcessPool | None = None
        self._owner = 0
        _open_pools.add(self)

    def judge(self, jobs: Sequence[Any]) -> list[Judgment]:
        """One judgment per job, in order; a job that outran its limits is wrong with the reason.

        Jobs travel in chunks under one job's time limit. A chunk that breaks it, or its worker, is repeated
        job by job, so that one hostile answer costs its neighbors time and nothing else.
        """
        if not jobs:
            return []
        judged: list[Judgment | None] = [None] * len(jobs)
        size = min(self._max_chunk, max(1, -(-len(jobs) // (self.workers * _CHUNKS_PER_WORKER))))
        spans = [(at, min(at + size, len(jobs))) for at in range(0, len(jobs), size)]
        failed = self._run(jobs, spans, judged)
        alone = [(at, at + 1) for start, end in failed for at in range(start, end)]
        if size > 1:
            failed = self._run(jobs, alone, judged)
        for (at, _), judgment in failed.items():
            judged[at] = judgment
        lost = Judgment(False, "error", "no judgment came back")
        return [judgment if judgment is not None else lost for judgment in judged]

    def close(self) -> None:
        """Kill the workers and wait for them; the next `judge` starts new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None and self._owner == os.getpid():
            pool.stop()
            pool.join()

    def forget(self) -> None:
        """Drop what belongs to the process that this one was forked from."""
        self._lock = threading.Lock()
        self._pool = None

    def worker_ids(self) -> list[int]:
        """Process ids of the workers that run now."""
        with self._lock:
            manager = getattr(getattr(self._pool, "_pool_manager", None), "worker_manager", None)
            return sorted(getattr(manager, "workers", {}))

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(
        self, jobs: Sequence[Any], spans: Sequence[tuple[int, int]], judged: list[Judgment | None]
    ) -> dict[tuple[int, int], Judgment]:
        """Fill in the judgments of every span; the spans that failed as a whole, with why."""
        if not spans:
            return {}
        # Only a broken pool gets past this; it turns a hang into counted errors.
        patience_s = _START_S + self.limits.wall_s + (len(spans) / self.workers + 1) * (self.limits.cpu_s + _KILL_S)
        failed: dict[tuple[int, int], Judgment] = {}
        pool = self._started()
        limits = CallLimits(timeout_s=self.limits.wall_s, cpu_s=self.limits.cpu_s)
        try:
            futures = [
                pool.schedule(judge_all, args=(self.judge_name, list(jobs[start:end]), limits)) for start, end in spans
            ]
        except RuntimeError as error:  # another thread closed the pool, or its workers are gone for good
            self.close()
            return dict.fromkeys(spans, self._failure(error))
        for (start, end), future in zip(spans, futures, strict=True):
            try:
                judged[start:end] = future.result(timeout=patience_s)
            except Exception as error:
                failed[start, end] = self._failure(error)
                if not future.done():
                    self.close()
        return failed

    def _failure(self, error: Exception) -> Judgment:
        exit_code = getattr(error, "exitcode", None)
        if exit_code == -signal.SIGALRM:
            return Judgment(False, "timeout", f"killed after {self.limits.wall_s:g} s")
        if exit_code == -signal.SIGPROF:
            return Judgment(False, "timeout", f"killed after {self.limits.cpu_s:g} s of processor time")
        if exit_code is not None:
            return Judgment(False, "crash", f"the worker ended with exit code {exit_code}")
        if isinstance(error, MemoryError):
            return Judgment(False, "memory", "the worker ran into its memory limit")
        return Judgment(False, "error", f"{type(error).__name__}: {str(error)[:200]}")

    def _started(self) -> ProcessPool:
        with self._lock:
            # The threads that run a pool do not survive a fork: a forked child needs its own.
            if self._pool is None or self._owner != os.getpid() or not self._pool.active:
                self._pool = self._new()
                self._owner = os.getpid()
            return self._pool

    def _new(self) -> ProcessPool:
        try:
            from pebble import ProcessPool
        except ImportError as error:
            raise ValueError(
                f"the verifier needs pebble: pip install -e '.[{self.judge_name.extra}]' in the clone of mel"
            ) from error
        _leave_foreign_fork_server()
        _close_at_exit()
        context = _CleanContext()
        # What the fork server of this process did not load when it started, each worker loads when it starts.
        context.set_forkserver_preload([self.judge_name.preload])
        pool = ProcessPool(
            max_workers=self.workers,
            max_tasks=_TASKS_PER_WORKER,
            initializer=initialize,
            initargs=(self.judge_name, self.limits.memory_mb * 2**20),
            context=context,
        )
        # `active` is False before the first job; this starts it.
        pool.schedule(judge_all, args=(self.judge_name, [], CallLimits(timeout_s=self.limits.wall_s)))
        return pool


def default_workers() -> int:
    """Cores this process may run on, divided by the ranks of this node (`LOCAL_WORLD_SIZE`), at least 1, at most 16."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(16, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1") or 1)))


_shared_lock = threading.Lock()
_shared: dict[tuple[Limits, JudgeName], WorkerPool] = {}


def shared_pool(limits: Limits | None = None, judge: JudgeName = MATHEMATICS) -> WorkerPool:
    """The process-wide pool of a judge with these limits: five benchmarks do not keep five sets of workers."""
    key = (limits or Limits(), judge)
    with _shared_lock:
        if key not in _shared:
            _shared[key] = WorkerPool(key[0], judge=judge, max_chunk=_MAX_CHUNK if judge == MATHEMATICS else 1)
        return _shared[key]


_open_pools: weakref.WeakSet[WorkerPool] = weakref.WeakSet()
_main_lock = threading.Lock()


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Keep the child from re-running the host's script, which multiprocessing would import as `__mp_main__`."""
    main = sys.modules["__main__"]
    with _main_lock:
        kept = {name: vars(main)[name] for name in ("__file__", "__spec__") if name in vars(main)}
        try:
            main.__spec__ = None
            vars(main).pop("__file__", None)
            yield
        finally:
            vars(main).update(kept)


@contextmanager
def _as_free_process() -> Iterator[None]:
    """Let a daemonic process (a data loader's, say) start workers: the kernel ends ours with their host."""
    config: dict[str, object] = getattr(process.current_process(), "_config", {})
    is_daemon = config.pop("daemon", None)
    try:
        yield
    finally:
        if is_daemon is not None:
            config["daemon"] = is_daemon


class _CleanProcess(ForkServerProcess):
    def start(self) -> None:
        with _main_hidden(), _as_free_process():
            super().start()


class _CleanContext(ForkServerContext):
    Process = _CleanProcess


def _leave_foreign_fork_server() -> None:
    """Forget a fork server that this process inherited by a fork: it is no child of ours to wait for."""
    server = getattr(forkserver, "_forkserver", None)
    pid = getattr(server, "_forkserver_pid", None)
    if server is None or pid is None:
        return
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        with suppress(OSError, TypeError):
            os.close(server._forkserver_alive_fd)
        type(server).__init__(server)


_closes_in = 0


def _close_at_exit() -> None:
    """Have multiprocessing close the pools before it waits for children, in this very process.

    `atexit` does not run in a `multiprocessing.Process`, which would wait for our workers for ever.
    """
    global _closes_in
    if _closes_in != os.getpid():
        _closes_in = os.getpid()
        util.Finalize(None, _close_all, exitpriority=100)


def _close_all() -> None:
    for pool in list(_open_pools):
        with suppress(Exception):
            pool.close()


def _after_fork() -> None:
    """A forked child has neither our threads, nor whoever held our locks, nor our workers for its own to end."""
    global _main_lock
    _main_lock = threading.Lock()
    children: set[object] = getattr(process, "_children", set())
    children.difference_update([child for child in children if isinstance(child, _CleanProcess)])
    for pool in list(_open_pools):
        pool.forget()


os.register_at_fork(after_in_child=_after_fork)
