"""Run a method's generator function to its end, answering its requests: batch or async, the same method code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from mel.ports import Generator, Requests, Verifier
from mel.types import Completion, Generate, Request, Verdict

T = TypeVar("T")

Answer = Sequence[Completion] | Sequence[Verdict]


class GenerationError(RuntimeError):
    """An engine or verifier answered with another number or kind of items than it was asked for."""


def drive(requests: Requests[T], generator: Generator, verifier: Verifier) -> T:
    """The method's result, each request answered by one call of the engine or the verifier.

    Raises:
        GenerationError: fewer or more answers came back than went in, or of the wrong kind.
    """
    turn = _resume(requests, None)
    while not isinstance(turn, _Done):
        if isinstance(turn, Generate):
            answers: Answer = generator.generate(turn.prompts, turn.sampling)
        else:
            answers = verifier.verify(turn.problems, turn.responses)
        turn = _resume(requests, _checked(turn, answers))
    return turn.result


async def adrive(requests: Requests[T], answer: Callable[[Request], Awaitable[Answer]]) -> T:
    """As `drive`, for engines with an async interface (verl's agent loop, an HTTP server)."""
    turn = _resume(requests, None)
    while not isinstance(turn, _Done):
        turn = _resume(requests, _checked(turn, await answer(turn)))
    return turn.result


@dataclass(frozen=True, slots=True)
class _Done(Generic[T]):
    result: T


def _resume(requests: Requests[T], answers: Answer | None) -> Request | _Done[T]:
    # Only the method runs inside this `try`: a StopIteration that an engine leaks must not pass for a result.
    try:
        return next(requests) if answers is None else requests.send(answers)
    except StopIteration as stop:
        return _Done(stop.value)


def _checked(request: Request, answers: Answer) -> Answer:
    is_generate = isinstance(request, Generate)
    asked = len(request.prompts) if is_generate else len(request.responses)
    what = f"completions for {request.phase}" if is_generate else "verdicts"
    if len(answers) != asked:
        raise GenerationError(f"expected {asked} {what}, one per item and in order; {len(answers)} came back")
    kind = Completion if is_generate else Verdict
    stray = next((type(a).__name__ for a in answers if not isinstance(a, kind)), None)
    if stray is not None:
        raise GenerationError(f"expected {what} as {kind.__name__}; got {stray}")
    return answers
