"""A task of programming over any data set: a problem in, a program in a block of code out, judged by its tests."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import wraps
from typing import Any, get_type_hints

from mel.tasks.account import Read
from mel.tasks.loading import Place, RecordTask, Splits, published_by, splits_of
from mel.tasks.program_steps import program_steps
from mel.tasks.records import Record
from mel.types import Problem, Step, Verdict
from mel.verify import ProgramLimits, ProgramVerifier


@dataclass(frozen=True, kw_only=True, slots=True)
class Definition:
    """What a task's own file says about it.

    Args:
        read: the problem of a record, or why it holds none; raises `ValueError` for what cannot be read.
        is_deduplicated: train on repeated problems once. Off for benchmarks, whose published problems all count.
    """

    name: str
    place: Place
    read: Callable[[Record], Read]
    is_deduplicated: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """How programs are run, as the options of a recipe say.

    Args:
        sandbox: `auto` for the best level of this machine, the name of a level, or the address of a server that speaks
            SandboxFusion's protocol.
        interpreter: path of the Python that runs programs; the one that runs mel by default.
        timeout_s: seconds of processor time for one run of a program; by the clock, ten times as many.
        memory_mb: address space of a run.
        reward: `right` (1 for all tests passed, else 0) or `share` of the tests that passed.
        workers: processes that judge; None for the cores of this process.
    """

    sandbox: str = "auto"
    interpreter: str | None = None
    timeout_s: float = 10.0
    memory_mb: int = 512
    reward: str = "right"
    workers: int | None = None

    def verifier(self, name: str) -> ProgramVerifier:
        """The verifier that runs them so.

        Raises:
            ValueError: a limit out of range, or a reward that is unknown.
        """
        if self.reward not in ("right", "share"):
            raise ValueError(f"task {name}: expected reward to be right or share, got {self.reward!r}")
        cpu_s = max(1, round(self.timeout_s))
        return ProgramVerifier(
            limits=ProgramLimits(cpu_s=cpu_s, timeout_s=10 * self.timeout_s, memory_mb=self.memory_mb),
            sandbox=self.sandbox,
            interpreter=self.interpreter,
            gives_score=self.reward == "share",
            workers=self.workers,
        )


class ProgramTask(RecordTask):
    """Fills `mel.ports.Task` for problems that a program solves.

    Raises:
        ValueError: no sandbox is offered here; the message says what to install.
    """

    prompt_set = "code"

    def __init__(
        self, definition: Definition, *, running: Running | None = None, holdout: int = 0, is_benchmark: bool = False
    ) -> None:
        self.name = definition.name
        self._definition = definition
        self._running = running or Running()
        self._holdout = holdout
        self.verifier = self._running.verifier(definition.name)
        self.verifier.sandbox()  # a task that could not verify anything does not start
        self._splits = Splits(
            definition.name,
            definition.place,
            read=self._read,
            is_deduplicated=definition.is_deduplicated and (not is_benchmark or holdout > 0),
            holdout=holdout,
            advice="check the columns (`fields`)",
        )

    def as_benchmark(self) -> ProgramTask:
        """The same task to evaluate on: every problem counts, also those that occur more than once."""
        return ProgramTask(self._definition, running=self._running, holdout=self._holdout, is_benchmark=True)

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        """One verdict per response, in order."""
        return self.verifier.verify(problems, responses)

    def reference(self, problem: Problem) -> str | None:
        """A response with the data's own program; None if the problem came without one."""
        found = problem.metadata.get("solution")
        return found if isinstance(found, str) else None

    def steps(self, solution: str) -> tuple[Step, ...]:
        """The statements of the program: see `program_steps`."""
        return program_steps(solution)

    def metrics(self) -> dict[str, float]:
        """`verifier/<reason>` since the last call."""
        return self.verifier.metrics()

    def _read(self, records: Sequence[Record]) -> list[Read]:
        found: list[Read] = []
        for number, record in enumerate(records, 1):
            try:
                found.append(self._definition.read(record))
            except ValueError as error:
                location = self._definition.place.location
                raise ValueError(f"task {self.name}: {location}, record {number}: {error}") from error
        return found


def benchmark(
    definition: Definition,
    *,
    source: str | None = None,
    config: str | None = None,
    holdout: int = 0,
    rows: int | str | None = None,
    running: Running,
) -> ProgramTask:
    """The task as a recipe asks for it: the definition with its source and row count replaced."""
    base = definition.place
    splits = base.splits if base.split_of else splits_of(source, base.splits)
    place = replace(
        base,
        location=source or base.location,
        config=config if source or config else base.config,
        splits=splits,
        published_records=published_by(definition.name, rows, splits, base.published_records),
    )
    return ProgramTask(replace(definition, place=place), running=running, holdout=holdout)


def takes_running(make: Callable[..., ProgramTask]) -> Callable[..., ProgramTask]:
    """The factory of a task with the fields of `Running` as its options, in the place of its argument `running`."""
    kinds, signature = get_type_hints(Running), inspect.signature(make, eval_str=True)
    how = [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=kinds[f.name])
        for f in fields(Running)
    ]

    @wraps(make)
    def made(*given: Any, **options: Any) -> ProgramTask:
        running = {p.name: options.pop(p.name) for p in how if p.name in options}
        return make(*given, running=Running(**running), **options)

    own = [p for p in signature.parameters.values() if p.name != "running"]
    made.__signature__ = signature.replace(parameters=[*own, *how])  # pyright: ignore[reportAttributeAccessIssue]
    return made


def as_response(program: str) -> str:
    """A response that states this program, as the tasks want it."""
    return f"```python\n{program.rstrip()}\n```"


def called(asserted: Sequence[str], code: str) -> tuple[str, ...]:
    """The functions of the reference program that the tests call, in the order of its text.

    Raises:
        ValueError: one of the two is no Python.
    """
    try:
        defined = [node.name for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)]
        used = {node.id for test in asserted for node in ast.walk(ast.parse(test)) if isinstance(node, ast.Name)}
    except SyntaxError as error:
        raise ValueError(f"expected a program and assertions in Python: {error}") from error
    return tuple(dict.fromkeys(name for name in defined if name in used))
