"""Requests and their answers: a method's generator function run to its end, batch or async, the same method code.

A method asks with `completions = yield from completed(Generate(...))`, which gives the answer its type.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from mel.ports import Answer, Generator, Logprobs, Rater, Ratings, Requests, Scorer, Verifier
from mel.requests import Rate, Request
from mel.types import Completion, Generate, Score, Verdict, Verify

T = TypeVar("T")


class GenerationError(RuntimeError):
    """An engine or verifier answered with another number or kind of items than it was asked for."""


def drive(
    requests: Requests[T],
    generator: Generator,
    verifier: Verifier,
    scorer: Scorer | None = None,
    rater: Rater | None = None,
) -> T:
    """The method's result, each request answered by one call of the engine, the verifier, the scorer or the rater.

    Args:
        scorer, rater: answer `Score` and `Rate`; None where no model is at hand, which is an error only if the method
            asks.

    Raises:
        GenerationError: fewer or more answers came back than went in, or of the wrong kind.
    """
    turn = _resume(requests, None)
    while not isinstance(turn, _Done):
        turn = _resume(requests, _checked(turn, _answered(turn, generator, verifier, scorer, rater)))
    return turn.result


def _answered(
    request: Request, generator: Generator, verifier: Verifier, scorer: Scorer | None, rater: Rater | None
) -> Answer:
    if isinstance(request, Generate):
        return generator.generate(request.prompts, request.sampling)
    if isinstance(request, Verify):
        return verifier.verify(request.problems, request.responses)
    if isinstance(request, Rate):
        if rater is None:
            raise GenerationError("the method asks how right steps are (Rate), and there is no process reward model")
        return rater.rate(request)
    if scorer is None:
        raise GenerationError("the method asks for log-probabilities (Score), and there is no scorer to answer")
    return scorer.score(request)


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
    what, asked, kind = _expected(request)
    if len(answers) != asked:
        raise GenerationError(f"expected {asked} {what}, one per item and in order; {len(answers)} came back")
    stray = next((type(a).__name__ for a in answers if not isinstance(a, kind)), None)
    if stray is not None:
        raise GenerationError(f"expected {what} as {kind.__name__}; got {stray}")
    if isinstance(request, Score | Rate):
        each = request.targets if isinstance(request, Score) else request.solutions
        lengths = [(len(wanted), len(found)) for wanted, found in zip(each, answers, strict=True)]  # type: ignore[arg-type]
        wrong = next(((wanted, found) for wanted, found in lengths if wanted != found), None)
        if wrong is not None:
            unit = "log-probabilities, one per target token" if isinstance(request, Score) else "ratings, one per step"
            raise GenerationError(f"expected {wrong[0]} {unit}; {wrong[1]} came back")
    return answers


def _expected(request: Request) -> tuple[str, int, type]:
    """What the answer consists of, in words, how many there must be, and of which type."""
    if isinstance(request, Generate):
        return f"completions for {request.phase}", len(request.prompts), Completion
    if isinstance(request, Verify):
        return "verdicts", len(request.responses), Verdict
    if isinstance(request, Rate):
        return "tuples of ratings", len(request.solutions), tuple
    return "tuples of log-probabilities", len(request.targets), tuple


def completed(request: Generate) -> Requests[list[Completion]]:
    """One completion per prompt, in order; `drive` has checked number and kind."""
    return cast(list[Completion], list((yield request)))


def verified(request: Verify) -> Requests[list[Verdict]]:
    """One verdict per response, in order; `drive` has checked number and kind."""
    return cast(list[Verdict], list((yield request)))


def scored(request: Score) -> Requests[list[Logprobs]]:
    """One tuple of log-probabilities per target, in order; `drive` has checked their number and lengths."""
    return cast(list[Logprobs], list((yield request)))


def rated(request: Rate) -> Requests[list[Ratings]]:
    """One tuple of probabilities per solution, in order; `drive` has checked their number and lengths."""
    return cast(list[Ratings], list((yield request)))
