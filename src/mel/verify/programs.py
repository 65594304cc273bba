"""The judge of programs: runs them in a sandbox, and their tests in another, so that neither knows the other's memory.

The tests say which calls they want to make, the program answers them, and the tests judge the answers. A program never
holds an expected value, and the tests hold no object of the program: only values of built-in types cross, as text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import zip_longest
from typing import Any, NamedTuple

from mel.verify.sandbox import Program, ProgramLimits, Ran, Sandbox
from mel.verify.sandbox_levels import SandboxChoice, open_sandbox
from mel.verify.worker import Judgment

_MOST_ROUNDS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionTests:
    """Tests that call functions of the program.

    Args:
        setup: runs before the tests, and not where the program is: helpers that they need.
        tests: pieces of Python, each of which may hold any number of assertions.
        names: functions that the program must define.
        preamble: runs before the program: what the problem shows as given, its imports say.
    """

    tests: tuple[str, ...]
    names: tuple[str, ...]
    setup: str = ""
    preamble: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamTests:
    """Tests that give a standard input and expect a standard output; the program runs once for each."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class ProgramJob(NamedTuple):
    """One program to judge. Plain values only: it crosses a pipe.

    Args:
        sandbox: which one; the worker opens it.
        is_brief: stop at the first test that fails; else all run, and the score is the share that passed.
    """

    program: str
    tests: FunctionTests | StreamTests
    sandbox: SandboxChoice
    limits: ProgramLimits
    is_brief: bool = True


class _WrongError(Exception):
    """The program is settled, with this judgment."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.judgment = Judgment(False, reason, detail)


def prepare() -> None:
    """Load what starts a sandbox, where it is installed."""
    runner()


@cache
def runner() -> str:
    """The text of the file that runs inside."""
    return files("mel.verify").joinpath("inside/runner.py").read_text("utf-8")


def judge(job: ProgramJob) -> Judgment:
    """Whether it passes all of its tests; whatever goes wrong is a wrong program with its reason."""
    if "\0" in job.program or len(job.program) > 1_000_000:
        return Judgment(False, "syntax_error", "a program of more than a million characters, or with a NUL in it")
    try:
        sandbox = open_sandbox(job.sandbox)
        if isinstance(job.tests, StreamTests):
            return _judge_streams(sandbox, job, job.tests)
        return _judge_functions(sandbox, job, job.tests)
    except _WrongError as error:
        return error.judgment._replace(score=None if job.is_brief else 0.0)
    except MemoryError:
        return Judgment(False, "memory", "the worker ran into its memory limit")
    except Exception as error:  # a fault of ours or of the machine's is no reward
        return Judgment(False, "sandbox_error", f"{type(error).__name__}: {str(error)[:200]}")


def _judge_streams(sandbox: Sandbox, job: ProgramJob, tests: StreamTests) -> Judgment:
    passed, first = 0, ("wrong", "")
    for number, (given, expected) in enumerate(zip(tests.inputs, tests.outputs, strict=True), 1):
        stdin = given.encode("utf-8", "surrogatepass")
        ran = sandbox.run(Program(source=job.program, stdin=stdin, limits=job.limits))
        try:
            _ended_well(ran)
            if told := _difference(_lines(ran.stdout.decode("utf-8", "replace")), _lines(expected)):
                raise _WrongError("wrong", told)
            passed += 1
        except _WrongError as error:
            first = first if first[1] else (error.judgment.reason, f"test {number}: {error.judgment.detail}")
            if job.is_brief:
                break
    return _judgment(passed, len(tests.inputs), first, is_brief=job.is_brief)


def _ended_well(ran: Ran) -> None:
    """Raise what a run says against the program, however good its output is."""
    if ran.end == "unstarted":
        raise RuntimeError(f"the sandbox did not start: {ran.stderr[-200:]}")
    if ran.end != "exited":
        raise _WrongError(ran.end, f"ended for its {ran.end}")
    if ran.exit_code == 0:
        return
    last = ran.stderr.strip().rpartition("\n")[2][:200]
    for name, reason in (
        ("SyntaxError", "syntax_error"),
        ("IndentationError", "syntax_error"),
        ("MemoryError", "memory"),
    ):
        if last.startswith(name):
            raise _WrongError(reason, last)
    if ran.exit_code is not None and ran.exit_code < 0:
        raise _WrongError("crash", f"ended by signal {-ran.exit_code}, as by its limit of memory")
    raise _WrongError("error" if ran.exit_code == 1 and last else "exited", last or f"exit code {ran.exit_code}")


def _lines(text: str) -> list[str]:
    """Lines without white space at their ends, and without empty ones behind the last."""
    return [line.rstrip() for line in text.rstrip().splitlines()]


def _difference(written: Sequence[str], expected: Sequence[str]) -> str:
    """The first line in which an output differs from what is expected; empty if none does."""
    for number, (line, wanted) in enumerate(zip_longest(written, expected), 1):
        if line != wanted:
            ours, theirs = ("nothing" if text is None else repr(text)[:120] for text in (line, wanted))
            return f"expected {theirs} in line {number}, got {ours}"
    return ""


def _judge_functions(sandbox: Sandbox, job: ProgramJob, tests: FunctionTests) -> Judgment:
    """Rounds of calls until the tests want no more; nearly all tests are settled after one."""
    calls = list(_first_calls(sandbox, tests, job.limits))
    answers: dict[str, Any] = {}
    for _ in range(_MOST_ROUNDS):
        given = _answers(sandbox, job, tests, [call for _, call in calls])
        answers = dict(zip((key for key, _ in calls), given, strict=True))
        found = _tested(sandbox, tests, answers, job.limits, is_brief=job.is_brief)
        more = [(key, call) for key, call in found["wanted"] if key not in answers]
        if not more:
            return _settled(found, job)
        calls += more
    raise _WrongError("error", f"the tests want further calls after {_MOST_ROUNDS} rounds")


def _settled(found: Mapping[str, Any], job: ProgramJob) -> Judgment:
    passed, failed = int(found["passed"]), int(found["failed"])
    total = passed + failed
    if not failed and (found["broken"] or not total):
        reason = "error" if found["has_raised"] else "broken_test"
        raise _WrongError(reason, str(found["broken"] or "the tests assert nothing"))
    first = found["first"] or ("wrong", "")
    return _judgment(passed, total, (str(first[0]), str(first[1])), is_brief=job.is_brief)


def _judgment(passed: int, total: int, first: tuple[str, str], *, is_brief: bool) -> Judgment:
    is_right = passed == total
    detail = f"{passed} of {total} passed" if is_right or not is_brief else ""
    told = " ".join(filter(None, (detail, "" if is_right else first[1])))
    score = None if is_brief else passed / total
    return Judgment(is_right, "right" if is_right else first[0], told, score)


@lru_cache(maxsize=256)
def _first_calls(sandbox: Sandbox, tests: FunctionTests, limits: ProgramLimits) -> tuple[tuple[str, list], ...]:
    """The calls that the tests make before they know any answer; the same for all programs of a group."""
    return tuple((key, call) for key, call in _tested(sandbox, tests, {}, limits, is_brief=False)["wanted"])


def _tested(
    sandbox: Sandbox, tests: FunctionTests, answers: Mapping[str, Any], limits: ProgramLimits, *, is_brief: bool
) -> dict[str, Any]:
    """What the tests report, given these answers."""
    spec = {"part": "tests", "setup": tests.setup, "tests": tests.tests, "names": tests.names}
    ran = _inside(sandbox, {**spec, "answers": answers, "is_brief": is_brief}, limits)
    if ran.end == "timeout":
        raise _WrongError("timeout", "the tests ran out of time on the program's values")
    found = _json_lines(ran.stdout)
    if not found or not isinstance(found[-1], dict) or "passed" not in found[-1]:
        last = ran.stderr.strip().rpartition("\n")[2][:200]
        raise _WrongError("broken_test", f"the tests did not report ({ran.end}): {last}")
    return found[-1]


def _answers(sandbox: Sandbox, job: ProgramJob, tests: FunctionTests, calls: Sequence[list]) -> list[dict[str, Any]]:
    """The program's answers to the first calls; fewer than calls if it ended before."""
    spec = {"part": "program", "preamble": tests.preamble, "program": job.program, "names": tests.names, "calls": calls}
    ran = _inside(sandbox, spec, job.limits)
    told = [line for line in _json_lines(ran.stdout) if isinstance(line, dict)]
    if told and told[0].get("fault"):
        raise _WrongError(_known(told[0]["fault"]), str(told[0].get("detail"))[:300])
    given = [line for line in told[1:] if "value" in line or "raised" in line][: len(calls)]
    if any(line.get("raised") == "MemoryError" for line in given):
        raise _WrongError("memory", "MemoryError")
    if ran.end in ("timeout", "output"):
        raise _WrongError(ran.end, f"ended for its {ran.end} after {len(given)} of {len(calls)} calls")
    if len(given) < len(calls) and (ran.exit_code or 0) < 0:
        _ended_well(ran)
    if len(given) < len(calls):
        raise _WrongError("exited", f"exit code {ran.exit_code} after {len(given)} of {len(calls)} calls")
    return given


def _known(fault: object) -> str:
    """A reason that is counted: the program's process may have written any text in its place."""
    return str(fault) if fault in ("syntax_error", "no_entry_point") else "error"


def _inside(sandbox: Sandbox, spec: Mapping[str, Any], limits: ProgramLimits) -> Ran:
    ran = sandbox.run(Program(source=runner(), stdin=json.dumps(spec).encode(), limits=limits))
    if ran.end == "unstarted":
        raise RuntimeError(f"the sandbox did not start: {ran.stderr[-200:]}")
    return ran


def _json_lines(stdout: bytes) -> list[Any]:
    """What of the lines is JSON, up to the first that is not."""
    found: list[Any] = []
    for line in stdout.splitlines():
        try:
            found.append(json.loads(line))
        except (ValueError, RecursionError):
            break
    return found
