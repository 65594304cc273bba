"""The verifier of mathematics: a marked final answer, compared by Math-Verify within hard limits."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence

from mel.types import Problem, Verdict
from mel.verify.answers import BOXED, AnswerFormat, final_answer, last_boxed, plain_integer
from mel.verify.compare import is_placeholder
from mel.verify.pool import Limits, WorkerPool
from mel.verify.restatement import repeats_the_problem
from mel.verify.symbolic import Job
from mel.verify.worker import Judgment

_ASKS_PERCENT = re.compile(r"%|percent|百分", re.IGNORECASE)

_shared_lock = threading.Lock()
_shared: dict[Limits, WorkerPool] = {}


def shared_pool(limits: Limits | None = None) -> WorkerPool:
    """The process-wide pool with these limits, so that five benchmarks do not keep five sets of workers."""
    limits = limits or Limits()
    with _shared_lock:
        return _shared.setdefault(limits, WorkerPool(limits))


class MathVerifier:
    """Says which responses end in the problem's answer; fails closed and never raises for a response.

    Reasons: `right`, `wrong`, `no_final_answer` (nothing marked), `answer_too_long`, `unreadable_answer`,
    `unreadable_gold` (the data's fault: look at it), `timeout`, `memory`, `crash`, `error`.

    `Problem.metadata` may hold `unit` (str), `tolerance` (float, absolute) and `has_parts` (bool: several answers
    in any order).

    Args:
        pool: processes to use; the shared ones by default.
        has_fast_path: compare plain integers and identical texts in this process, which is exact.
    """

    def __init__(
        self, answer_format: AnswerFormat | None = None, *, pool: WorkerPool | None = None, has_fast_path: bool = True
    ) -> None:
        self.format = answer_format or AnswerFormat()
        self.pool = pool or shared_pool()
        self.has_fast_path = has_fast_path
        self.counts: Counter[str] = Counter()
        """Verdicts by reason since the start, plus `fast_path`; `metrics` reads and clears a copy of it."""
        self._since: Counter[str] = Counter()
        self._lock = threading.Lock()

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        """One verdict per response, in order.

        Raises:
            ValueError: the two sequences differ in length.
        """
        if len(problems) != len(responses):
            raise ValueError(
                f"expected one problem per response, got {len(problems)} problems, {len(responses)} responses"
            )
        judged: list[Judgment | None] = []
        jobs: list[Job] = []
        for problem, response in zip(problems, responses, strict=True):
            found = self._prepare(problem, response)
            judged.append(found if not isinstance(found, Job) else None)
            if isinstance(found, Job):
                jobs.append(found)
        rest = iter(self.pool.judge(jobs))
        verdicts = [_verdict(judgment if judgment is not None else next(rest)) for judgment in judged]
        self._count(verdicts, fast=len(responses) - len(jobs))
        return verdicts

    def metrics(self) -> dict[str, float]:
        """`verifier/<reason>`: verdicts since the last call, for a training log."""
        with self._lock:
            since, self._since = self._since, Counter()
        return {f"verifier/{reason}": float(count) for reason, count in sorted(since.items())}

    def close(self) -> None:
        """End the worker processes; they come back at the next `verify`."""
        self.pool.close()

    def _prepare(self, problem: Problem, response: str) -> Judgment | Job:
        """A judgment that needs no computer algebra, or the job for the pool."""
        answer = final_answer(response, self.format.markers)
        if answer is None:
            return Judgment(False, "no_final_answer", f"expected {' or '.join(self.format.markers)}")
        if len(answer.text) > self.format.max_answer_chars:
            return Judgment(False, "answer_too_long", f"{len(answer.text)} characters: {answer.text[:80]}...")
        if repeats_the_problem(answer.text, gold=problem.answer, question=problem.text):
            return Judgment(False, "wrong", f"repeats the problem: {answer.text[:80]}")
        if self.has_fast_path:
            known = _compare_plain(problem.answer, answer.text)
            if known is not None:
                return Judgment(known, "right" if known else "wrong", answer.text)
        return self._job(problem, answer.text, answer.marker)

    def _job(self, problem: Problem, answer: str, marker: str) -> Job:
        extra: Mapping[str, object] = problem.metadata
        return Job(
            gold=(last_boxed(problem.answer) if "\\boxed" in problem.answer else None) or problem.answer,
            answer=answer,
            marker=marker,
            float_rounding=self.format.float_rounding,
            strict=self.format.strict,
            allow_set_relation_comp=self.format.allow_set_relation_comp,
            tolerance=float(str(extra.get("tolerance") or 0)),
            unit=str(extra.get("unit") or ""),
            has_parts=bool(extra.get("has_parts")),
            percent_is_free=_is_percent_free(problem, marker),
        )

    def _count(self, verdicts: Sequence[Verdict], *, fast: int) -> None:
        found = Counter(verdict.reason for verdict in verdicts)
        found["fast_path"] = fast
        with self._lock:
            self.counts.update(found)
            self._since.update(found)


def _compare_plain(gold: str, answer: str) -> bool | None:
    """Whether two plain integers or two identical texts agree; None if that takes computer algebra."""
    gold_integer, answer_integer = plain_integer(gold), plain_integer(answer)
    if gold_integer is not None and answer_integer is not None:
        return gold_integer == answer_integer
    if is_placeholder(gold):
        return None
    return True if gold.strip().strip("$").strip() == answer.strip().strip("$").strip() else None


def _is_percent_free(problem: Problem, marker: str) -> bool:
    """Whether `10%` answers a gold `10`: where a percentage was asked for, or the answer stands on a line of its own.

    A line (`#### 72%`) is written in prose, where the sign is a unit. In a box 42% is 0.42.
    """
    asked = bool(_ASKS_PERCENT.search(problem.text)) or str(problem.metadata.get("unit") or "").strip("$\\ ") == "%"
    return asked or (not problem.text and marker != BOXED)


def _verdict(judgment: Judgment) -> Verdict:
    return Verdict(is_correct=judgment.is_correct, reason=judgment.reason, detail=judgment.detail)
