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
from functools import lru_cache
from typing import Any, NamedTuple

from mel.verify.answers import BOXED

_MATH = re.compile(r"(?<!\\)\$|\\boxed|\\\(|\\\[")
_DOLLAR = re.compile(r"(?<!\\)\$")
_PLAIN_NUMBER = re.compile(r"-?[0-9]{1,3}(?:[ ,][0-9]{3})+(?:\.[0-9]+)?|-?[0-9]+(?:[.,][0-9]+)?|-?\.[0-9]+")
_PERCENT = re.compile(
    r"\s*(?:\\?%|(?:\\(?:text|mathrm)\s*\{)?\s*(?:percent(?:age)?|pct)\b\s*\}?)\s*\.?\s*$", re.IGNORECASE
)
_AND = re.compile(r"\\(?:text|mathrm|textrm)\s*\{\s*,?\s*(?:and|or)\s*\}|(?<![\\a-zA-Z])(?:and|or)(?![a-zA-Z])")
_ORDINAL = re.compile(r"(?<=\d)\s*\^?\s*\{?\s*\\(?:text|mathrm|textrm)\s*\{\s*(?:st|nd|rd|th)\s*\}\s*\}?")
_MAX_PARTS = 40


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
    allow_set_relation_comp: bool = False
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
    golds = _parsed_gold(job.gold)
    if not golds:
        return False, "unreadable_gold", job.gold[:200]
    answer = _ORDINAL.sub("", job.answer)
    answer = _strip_unit(answer, job.unit) if job.unit else answer
    if not job.percent_is_free and _PERCENT.search(answer) and not _PERCENT.search(job.gold.strip("$ ")):
        answer = rf"\frac{{{_PERCENT.sub('', answer)}}}{{100}}"
    answers = _parse(answer, job.marker)
    if not answers:
        return False, "unreadable_answer", job.answer[:200]
    is_right = _agree(golds, answers, job) or (
        (job.has_parts and _parts_agree(job.gold, answer, job)) or (job.tolerance > 0 and _is_near(golds, answers, job))
    )
    return (True, "right", job.answer[:200]) if is_right else (False, "wrong", job.answer[:200])


def _agree(golds: Sequence[Any], answers: Sequence[Any], job: Job) -> bool:
    from math_verify import verify

    return bool(
        verify(
            list(golds),
            list(answers),
            float_rounding=job.float_rounding,
            strict=job.strict,
            allow_set_relation_comp=job.allow_set_relation_comp,
            timeout_seconds=None,
        )
    )


@lru_cache(maxsize=512)
def _parsed_gold(gold: str) -> tuple[Any, ...]:
    """Readings of a gold, which data sets write bare, in dollars or in a box."""
    if _MATH.search(gold):
        return tuple(_read(_one_formula(gold)))
    readings = _read(f"${gold}$")
    return tuple(readings + _read(gold) if _PLAIN_NUMBER.fullmatch(gold) else readings)


def _parse(answer: str, marker: str) -> list[Any]:
    if marker == BOXED:
        return _read(f"\\boxed{{{answer}}}")
    if _MATH.search(answer):
        return _read(answer)
    return _read(answer) if _PLAIN_NUMBER.fullmatch(answer) else _read(f"${answer}$")


def _one_formula(gold: str) -> str:
    """`$69$,$84$` as one formula: Math-Verify would read the last one only."""
    dollars = len(_DOLLAR.findall(gold))
    return gold if dollars <= 2 or "$$" in gold else "$" + _DOLLAR.sub(" ", gold).strip() + "$"


def _read(text: str) -> list[Any]:
    from math_verify import parse

    return list(parse(text, parsing_timeout=None))  # type: ignore[arg-type]  # None is documented, the annotation is not


def _parts_agree(gold: str, answer: str, job: Job) -> bool:
    """Every listed gold is matched by its own listed answer, in any order."""
    golds, answers = _split(gold), _split(answer)
    if len(golds) != len(answers) or not 2 <= len(golds) <= _MAX_PARTS:
        return False
    left = [_parse(a, BOXED) for a in answers]
    for part in golds:
        parsed = _parsed_gold(part)
        match = next((i for i, a in enumerate(left) if a and _agree(parsed, a, job)), None)
        if match is None:
            return False
        left.pop(match)
    return True


def _split(text: str) -> list[str]:
    """Parts at commas, semicolons, `and`, `or` outside any bracket."""
    text = _AND.sub(",", re.sub(r"\\(?:boxed|left|right|[!;:]|quad|qquad|\[|\]|\(|\))|\$", " ", text))
    text = text.strip()
    if text.startswith("\\{") and text.endswith("\\}"):
        text = text[2:-2]
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if depth == 0 and char in ",;":
            parts.append(text[start:at])
            start = at + 1
    return [part.strip() for part in [*parts, text[start:]] if part.strip()]


def _is_near(golds: Sequence[Any], answers: Sequence[Any], job: Job) -> bool:
    """Some numeric reading of the answer lies within the tolerance that the task publishes."""
    values = [(_value(g), _value(a)) for g in golds for a in answers]
    # The slack admits a difference that equals the tolerance but for rounding.
    return any(g is not None and a is not None and abs(g - a) <= job.tolerance * (1 + 1e-9) for g, a in values)


def _value(parsed: Any) -> float | None:
    try:
        return float(parsed)
    except (TypeError, ValueError, OverflowError):
        return None


def _strip_unit(answer: str, unit: str) -> str:
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
