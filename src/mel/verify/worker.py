"""What runs inside a worker process: one judge, named by its module, under limits that the worker keeps itself.

The clock is the worker's own. The kernel ends the process when it strikes, also inside a long C call, and a host that
is too busy to listen does not turn a right answer into a time-out.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from mel.launch import signal_when_parent_ends

if TYPE_CHECKING:
    from collections.abc import Iterator


class Judgment(NamedTuple):
    """What a judge says of one job; it becomes a `mel.types.Verdict`."""

    is_correct: bool
    reason: str
    detail: str = ""
    score: float | None = None


class JudgeName(NamedTuple):
    """Where a judge is: a module that is loaded in the worker, and what it has.

    Args:
        module: with a function `judge(job) -> Judgment` that raises nothing but `MemoryError`, and may be killed at
            any point; and a function `prepare()`, which warms it before any clock runs.
        preload: a module whose import prepares it in the fork server.
        extra: the extra of mel that it needs.
    """

    module: str
    preload: str
    extra: str


EXITED = 70
"""Exit code of a worker that an answer ended with code 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CallLimits:
    """What one call of a judge may use, by the worker's own clocks.

    Args:
        timeout_s: wall-clock seconds.
        cpu_s: seconds of processor time of the worker; None for no limit.
        detail_chars: length at which the detail of a judgment is cut off.
    """

    timeout_s: float
    cpu_s: float | None = None
    detail_chars: int = 2000


def initialize(judge: JudgeName, memory_bytes: int) -> None:
    """Load the judge, cap this process's address space, and let it die by the first signal and with its host."""
    import resource

    # pebble's handler would run only once the C call at hand returns, and 10^10^10 never returns.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _die_with_host()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prepare(judge.module)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    except (ValueError, OSError):  # macOS knows the limit and refuses to set it
        logging.getLogger(__name__).warning("this system sets no memory limit per process; only time is limited")


@cache
def prepare(module: str) -> None:
    """Warm a judge once per process; the fork server does so for all workers that come from it."""
    importlib.import_module(module).prepare()


def judge_all(judge: JudgeName, jobs: Sequence[Any], limits: CallLimits) -> list[Judgment]:
    """One judgment per job, in order; the process ends by a signal if they outrun the limits of one call."""
    function: Callable[[Any], Judgment] = importlib.import_module(judge.module).judge
    with _clocks(limits), _exits_are_failures():
        judged = [function(job) for job in jobs]
    return [j._replace(detail=j.detail[: limits.detail_chars]) for j in judged]


@contextmanager
def _clocks(limits: CallLimits) -> Iterator[None]:
    """SIGALRM after the wall-clock limit and SIGPROF after that of processor time; by default both end the process."""
    signal.setitimer(signal.ITIMER_REAL, limits.timeout_s)
    signal.setitimer(signal.ITIMER_PROF, limits.cpu_s or 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)


@contextmanager
def _exits_are_failures() -> Iterator[None]:
    """An answer that ends the process with code 0 would pass for a worker that has done its work, and be waited for."""
    leave = os._exit
    os._exit = lambda status: leave(status or EXITED)  # type: ignore[assignment]
    try:
        yield
    finally:
        os._exit = leave


def _die_with_host() -> None:
    """Have the kernel kill this worker when its host goes, even by SIGKILL and even inside a C call (Linux).

    The fork server ends with the last process that holds its life line. A worker is handed a copy of it, which
    would keep the server alive for the worker and the worker for the server.
    """
    if sys.platform != "linux":
        return
    from multiprocessing import forkserver

    server = getattr(forkserver, "_forkserver", None)
    life_line = getattr(server, "_forkserver_alive_fd", None)
    if life_line is not None:
        os.close(life_line)
        setattr(server, "_forkserver_alive_fd", None)  # noqa: B010  # a private name that typing does not know
    signal_when_parent_ends(signal.SIGKILL)
