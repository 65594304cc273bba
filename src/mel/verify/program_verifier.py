"""The verifier of programs: the last block of code of a response, run against its problem's tests in a sandbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from mel.types import Problem, Verdict
from mel.verify.code_blocks import last_code_block
from mel.verify.confinement import LEVELS
from mel.verify.pool import Limits, WorkerPool, shared_pool
from mel.verify.programs import FunctionTests, ProgramJob, StreamTests
from mel.verify.sandbox import ProgramLimits
from mel.verify.sandbox_levels import AUTO, Offer, ProbeJob, SandboxChoice, is_address
from mel.verify.tally import Tally, verdict_of
from mel.verify.worker import JudgeName, Judgment

PROGRAMS = JudgeName(module="mel.verify.programs", preload="mel.verify.programs", extra="code")
_PROBES = JudgeName(module="mel.verify.sandbox_levels", preload="mel.verify.programs", extra="code")
_MARGIN_S = 30.0
"""A worker's own clock is a net below the sandbox's, which ends every run: it must not strike first."""
_MOST_RUNS = 200

Tests = FunctionTests | StreamTests


def offers(interpreter: str | None = None) -> list[Offer]:
    """Every level of this machine, best first, with why it is not offered; tried out, which takes about a second.

    Raises:
        ValueError: the processes that try them out cannot be started.
    """
    with WorkerPool(Limits(cpu_s=60.0, workers=1), judge=_PROBES, max_chunk=1) as pool:
        judged = pool.judge([ProbeJob(SandboxChoice(level, interpreter)) for level in LEVELS])
    return [
        Offer(level=level, fault="" if judgment.is_correct else judgment.detail)
        for level, judgment in zip(LEVELS, judged, strict=True)
    ]


_chosen: dict[tuple[str, str | None], SandboxChoice] = {}


def choose_sandbox(level: str = AUTO, interpreter: str | None = None) -> SandboxChoice:
    """The sandbox for that name: an address as it is, a level that holds here, or for `auto` the best of these.

    Raises:
        ValueError: there is none; the message says what to install and what failed.
    """
    if is_address(level):
        return SandboxChoice(level, interpreter)
    if level not in (AUTO, *LEVELS):
        raise ValueError(f"sandbox: expected {AUTO}, {', '.join(LEVELS)} or the address of a server, got {level!r}")
    if (level, interpreter) not in _chosen:
        found = offers(interpreter)
        held = [offer.level for offer in found if not offer.fault and level in (AUTO, offer.level)]
        if not held:
            faults = "; ".join(f"{offer.level}: {offer.fault}" for offer in found if level in (AUTO, offer.level))
            raise ValueError(
                f"sandbox: programs run in a sandbox only, and this machine offers none ({faults}): "
                "pip install -e '.[code]' in the clone of mel, or name a server; docs/sandbox.md says more"
            )
        _chosen[level, interpreter] = SandboxChoice(held[0], interpreter)
    return _chosen[level, interpreter]


class ProgramVerifier:
    """Says which responses end in a program that passes all tests; fails closed and never raises for a response.

    Reasons: `right`, `wrong` (a test failed), `no_code_block`, `unclosed_block`, `syntax_error`, `no_entry_point`,
    `error` (it raised), `exited` (it ended before it had answered), `timeout`, `memory`, `output`, `broken_test` (the
    data's fault: look at it), `sandbox_error` (the machine's), and the pool's own `crash`.

    The tests are in `Problem.metadata["tests"]`, see `stated_tests`.

    Args:
        sandbox: name of a level, `auto`, or the address of a server; chosen at the first use.
        gives_score: all tests run, and a verdict holds the share that passed.
    """

    def __init__(
        self,
        *,
        limits: ProgramLimits | None = None,
        sandbox: str = AUTO,
        interpreter: str | None = None,
        gives_score: bool = False,
        workers: int | None = None,
        pool: WorkerPool | None = None,
    ) -> None:
        self.limits = limits or ProgramLimits()
        self.gives_score = gives_score
        self._named = (sandbox, interpreter)
        net_s = max(_MOST_RUNS * self.limits.cpu_s, self.limits.timeout_s) + _MARGIN_S
        net = Limits(cpu_s=net_s, timeout_s=net_s, memory_mb=4096, workers=workers)
        self.pool = pool or shared_pool(net, PROGRAMS)
        self._tally = Tally()

    @property
    def counts(self) -> Counter[str]:
        """Verdicts by reason since the start."""
        return self._tally.counts

    def sandbox(self) -> SandboxChoice:
        """The sandbox that programs run in.

        Raises:
            ValueError: this machine offers none.
        """
        return choose_sandbox(*self._named)

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        """One verdict per response, in order; equal programs for one problem are run once.

        Raises:
            ValueError: the two sequences differ in length, a problem has no tests, or there is no sandbox.
        """
        if len(problems) != len(responses):
            raise ValueError(
                f"expected one problem per response, got {len(problems)} problems, {len(responses)} responses"
            )
        prepared = [self._prepare(p, r) for p, r in zip(problems, responses, strict=True)]
        jobs = list(dict.fromkeys(job for job in prepared if isinstance(job, ProgramJob)))
        judged = dict(zip(jobs, self.pool.judge(jobs), strict=True))
        verdicts = [verdict_of(judged[found] if isinstance(found, ProgramJob) else found) for found in prepared]
        self._tally.add(verdicts)
        return verdicts

    def metrics(self) -> dict[str, float]:
        """`verifier/<reason>`: verdicts since the last call."""
        return self._tally.metrics()

    def close(self) -> None:
        """End the worker processes; they come back at the next `verify`."""
        self.pool.close()

    def _prepare(self, problem: Problem, response: str) -> Judgment | ProgramJob:
        """A judgment that needs no run, or the job for the pool."""
        tests = stated_tests(problem)
        score = 0.0 if self.gives_score else None
        block = last_code_block(response)
        if block is None:
            return Judgment(False, "no_code_block", "expected a fenced block of code", score)
        if not block.is_closed:
            return Judgment(False, "unclosed_block", "the last block of code was not closed", score)
        return ProgramJob(
            program=block.text,
            tests=tests,
            sandbox=self.sandbox(),
            limits=self.limits,
            is_brief=not self.gives_score,
        )


def stated_tests(problem: Problem) -> Tests:
    """The tests of a problem, which its metadata holds as JSON under `tests`: the fields of one of the two classes.

    Raises:
        ValueError: none are there, or they are of neither class.
    """
    held: Any = problem.metadata.get("tests")
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list | tuple) else value for key, value in dict(held or {}).items()
    }
    kind = StreamTests if "inputs" in fields else FunctionTests
    try:
        return kind(**fields)
    except TypeError as error:
        raise ValueError(f"problem {problem.id!r}: expected tests in its metadata, got {held!r}: {error}") from error


def as_metadata(tests: Tests) -> dict[str, object]:
    """Tests as `stated_tests` reads them again: JSON values only."""
    names = ("inputs", "outputs") if isinstance(tests, StreamTests) else ("tests", "names", "setup", "preamble")
    values = {name: getattr(tests, name) for name in names}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
