"""The judge of mathematics: Math-Verify on one final answer, without any clock of its own.

Math-Verify's own time limits use `signal.alarm`, which fails off the main thread, clobbers the host's alarm and
cannot interrupt a long C call (`10^8!` under gmpy2). They are switched off here: the worker's clock ends the process.
"""

from __future__ import annotations

import logging
import re
from typing import NamedTuple

from mel.verify.answers import BOXED, formula_of_line
from mel.verify.compare import agree
from mel.verify.values import Rules, UnreadableAnswerError, UnreadableGoldError
from mel.verify.worker import Judgment

_WARM = (r"\boxed{\frac{1}{2}}", r"\boxed{(-\infty, 1] \cup \{x \mid x > \sqrt{3}\}}", r"\boxed{x^2 + 2 \pi = 0}")


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


def prepare() -> None:
    """Silence Math-Verify, which warns that its own clocks are off, and warm its parser."""
    silence()
    for text in _WARM:
        judge(Job(gold="0", answer=text))


def silence() -> None:
    """Keep Math-Verify from warning that its own clocks are off: the worker holds the clock."""
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    logging.getLogger("latex2sympy2_extended").setLevel(logging.ERROR)


def judge(job: Job) -> Judgment:
    """Compare one answer with its gold; whatever goes wrong is a wrong answer with its reason."""
    try:
        return _judge(job)
    except MemoryError:
        return Judgment(False, "memory", "the comparison ran into the worker's memory limit")
    except RecursionError:
        return Judgment(False, "error", "RecursionError: the expression is nested too deeply")
    except Exception as error:  # a hostile answer may raise anything; it fails closed and is counted
        return Judgment(False, "error", f"{type(error).__name__}: {str(error)[:200]}")


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
        return Judgment(False, "unreadable_gold", job.gold[:200])
    except UnreadableAnswerError:
        return Judgment(False, "unreadable_answer", job.answer[:200])
    return Judgment(is_right, "right" if is_right else "wrong", job.answer[:200])


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
