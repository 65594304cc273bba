"""What runs inside a worker process: Math-Verify on one final answer, without any clock of its own.

Math-Verify's own time limits use `signal.alarm`, which fails off the main thread, clobbers the host's alarm and
cannot interrupt a long C call (`10^8!` under gmpy2). They are switched off here: the pool kills the process instead.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Sequence
from typing import NamedTuple

from mel.verify.answers import BOXED, formula_of_line
from mel.verify.compare import agree
from mel.verify.values import Rules, UnreadableAnswerError, UnreadableGoldError


class Job(NamedTuple):
    """One comparison. Plain values only: it crosses a pipe.

    Args:
        marker: how the answer was marked; a boxed one is read as LaTeX, a line may also be a plain number.
        tolerance: largest absolute difference to a numeric gold that still counts; 0 for none.
        unit: unit that the answer may carry or not.
        has_parts: the gold lists several answers; their order and way of joining do not matter.
        percent_is_free: `10%` answers a gold `10`, because the problem asks for a percentage.
    """

    gold: str
    answer: str
    marker: str = BOXED
    float_rounding: int = 6
    strict: bool = True
    allow_set_relation_comp: bool = True
    tolerance: float = 0.0
    unit: str = ""
    has_parts: bool = False
    percent_is_free: bool = True


Judgment = tuple[bool, str, str]
"""Whether it is right, the reason, and detail for a person."""


def initialize(memory_bytes: int) -> None:
    """Cap this process's address space, and let it die by the first signal and with its host."""
    import resource
    import signal

    # pebble's handler would run only once the C call at hand returns, and 10^10^10 never returns.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _die_with_host()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    except (ValueError, OSError):  # macOS knows the limit and refuses to set it
        logging.getLogger(__name__).warning("this system sets no memory limit per process; only time is limited")
    silence()


def silence() -> None:
    """Keep Math-Verify from warning that its own clocks are off: the pool holds the clock."""
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    logging.getLogger("latex2sympy2_extended").setLevel(logging.ERROR)


def _die_with_host() -> None:
    """Have the kernel kill this worker when its host goes, even by SIGKILL and even inside a C call (Linux).

    The fork server ends with the last process that holds its life line. A worker is handed a copy of it, which
    would keep the server alive for the worker and the worker for the server.
    """
    if sys.platform != "linux":
        return
    import ctypes
    import signal
    from multiprocessing import forkserver

    server = getattr(forkserver, "_forkserver", None)
    life_line = getattr(server, "_forkserver_alive_fd", None)
    if life_line is not None:
        os.close(life_line)
        setattr(server, "_forkserver_alive_fd", None)  # noqa: B010  # a private name that typing does not know
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG


def judge_all(jobs: Sequence[Job]) -> list[Judgment]:
    """One judgment per job, in order."""
    return [judge(job) for job in jobs]


def judge(job: Job) -> Judgment:
    """Compare one answer with its gold; whatever goes wrong is a wrong answer with its reason."""
    try:
        return _judge(job)
    except MemoryError:
        return False, "memory", "the comparison ran into the worker's memory limit"
    except RecursionError:
        return False, "error", "RecursionError: the expression is nested too deeply"
    except Exception as error:  # a hostile answer may raise anything; it fails closed and is counted
        return False, "error", f"{type(error).__name__}: {str(error)[:200]}"


def _judge(job: Job) -> Judgment:
    answer, gold = job.answer if job.marker == BOXED else formula_of_line(job.answer), job.gold
    if job.unit:
        answer, gold = without_unit(answer, job.unit), without_unit(gold, job.unit)
    rules = Rules(
        decimals=job.float_rounding,
        tolerance=job.tolerance,
        is_strict=job.strict,
        has_parts=job.has_parts,
        is_percent_free=job.percent_is_free,
        has_inequalities=job.allow_set_relation_comp,
    )
    try:
        is_right = agree(gold, answer, rules)
    except UnreadableGoldError:
        return False, "unreadable_gold", job.gold[:200]
    except UnreadableAnswerError:
        return False, "unreadable_answer", job.answer[:200]
    return (True, "right", job.answer[:200]) if is_right else (False, "wrong", job.answer[:200])


def without_unit(answer: str, unit: str) -> str:
    """The answer without the unit it may carry, in text, roman or bare, singular or plural."""
    base = re.sub(r"\\(?:text|mathrm)|[\s${}\\^]", "", unit).removesuffix("2")
    names = [re.escape(base.rstrip("s")) + "s?"]
    if "circ" in base:
        names = [r"\^?\{?\\circ", "degrees?", "°"]
    elif base.startswith("min"):
        names += ["minutes?"]
    elif base == "%":
        names = [r"\\?%", "percent"]
    square = r"(?:\^\{?2\}?)?"
    text = r"(?:\\(?:text|mathrm|textrm|mbox)\s*\{\s*)?"
    tail = rf"(?:\\[ ,;:!]|[~\s])*{text}(?:{'|'.join(names)}){square}\s*\}}?{square}$"
    return re.sub(tail, "", answer.rstrip(" .$")) or answer
