"""Requests and their answers: a method's generator function run to its end, batch or async, the same method code.

A method asks with `completions = yield from completed(Generate(...))`, which gives the answer its type.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from mel.ports import (
    Answer,
    Generator,
    Logprobs,
    Rater,
    Ratings,
    Requests,
    Rewarder,
    Scorer,
    TokenRewards,
    Verifier,
)
from mel.requests import Generate, Rate, Request, Reward, Score, Verify
from mel.types import Completion, Verdict

T = TypeVar("T")
P = TypeVar("P")


class GenerationError(RuntimeError):
    """An engine or verifier answered with another number or kind of items than it was asked for."""


def drive(
    requests: Requests[T],
    generator: Generator,
    verifier: Verifier,
    scorer: Scorer | None = None,
    rater: Rater | None = None,
    rewarder: Rewarder | None = None,
) -> T:
    """The method's result, each request answered by one call of the port that it is for.

    Args:
        scorer, rater, rewarder: answer `Score`, `Rate` and `Reward`; None where no such model is at hand, which is an
            error only if the method asks.

    Raises:
        GenerationError: fewer or more answers came back than went in, or of the wrong kind.
    """

    def answered(request: Request) -> Answer:
        if isinstance(request, Generate):
            return generator.generate(request.prompts, request.sampling)
        if isinstance(request, Verify):
            return verifier.verify(request.problems, request.responses)
        if isinstance(request, Rate):
            return _there(rater, "how right steps are (Rate)", "process reward model").rate(request)
        if isinstance(request, Reward):
            return _there(rewarder, "what tokens are worth (Reward)", "model that learns it").reward(request)
        return _there(scorer, "for log-probabilities (Score)", "scorer to answer").score(request)

    turn = _resume(requests, None)
    while not isinstance(turn, _Done):
        turn = _resume(requests, _checked(turn, answered(turn)))
    return turn.result


def _there(port: P | None, wanted: str, what: str) -> P:
    if port is None:
        raise GenerationError(f"the method asks {wanted}, and there is no {what}")
    return port


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
    if isinstance(request, Score | Rate | Reward):
        each = request.solutions if isinstance(request, Rate) else request.targets
        lengths = [(len(wanted), len(found)) for wanted, found in zip(each, answers, strict=True)]  # type: ignore[arg-type]
        wrong = next(((wanted, found) for wanted, found in lengths if wanted != found), None)
        if wrong is not None:
            unit = "step" if isinstance(request, Rate) else "target token"
            raise GenerationError(f"expected {wrong[0]} {what.split()[-1]}, one per {unit}; {wrong[1]} came back")
    return answers


def _expected(request: Request) -> tuple[str, int, type]:
    """What the answer consists of, in words, how many there must be, and of which type."""
    if isinstance(request, Generate):
        return f"completions for {request.phase}", len(request.prompts), Completion
    if isinstance(request, Verify):
        return "verdicts", len(request.responses), Verdict
    if isinstance(request, Rate):
        return "tuples of ratings", len(request.solutions), tuple
    if isinstance(request, Reward):
        return "tuples of rewards", len(request.targets), tuple
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


def rewarded(request: Reward) -> Requests[list[TokenRewards]]:
    """One tuple of rewards per target, in order; `drive` has checked their number and lengths."""
    return cast(list[TokenRewards], list((yield request)))
