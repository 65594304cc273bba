"""Run a method's generator function to its end, answering its requests: batch or async, the same method code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from mel.ports import Generator, Requests, Verifier
from mel.types import Completion, Generate, Request, Verdict

T = TypeVar("T")

Answer = Sequence[Completion] | Sequence[Verdict]


class GenerationError(RuntimeError):
    """An engine or verifier answered with another number of items than it was asked for."""


def drive(requests: Requests[T], generator: Generator, verifier: Verifier) -> T:
    """The method's result, each request answered by one call of the engine or the verifier.

    Raises:
        GenerationError: fewer or more answers came back than went in.
    """

    def answer(request: Request) -> Answer:
        if isinstance(request, Generate):
            return generator.generate(request.prompts, request.sampling)
        return verifier.verify(request.problems, request.responses)

    return _run(requests, answer)


async def adrive(requests: Requests[T], answer: Callable[[Request], Awaitable[Answer]]) -> T:
    """As `drive`, for engines with an async interface (verl's agent loop, an HTTP server)."""
    try:
        request = next(requests)
        while True:
            request = requests.send(_checked(request, await answer(request)))
    except StopIteration as stop:
        return stop.value


def _run(requests: Requests[T], answer: Callable[[Request], Answer]) -> T:
    try:
        request = next(requests)
        while True:
            request = requests.send(_checked(request, answer(request)))
    except StopIteration as stop:
        return stop.value


def _checked(request: Request, answers: Answer) -> Answer:
    asked = len(request.prompts) if isinstance(request, Generate) else len(request.responses)
    if len(answers) != asked:
        what = f"completions for {request.phase}" if isinstance(request, Generate) else "verdicts"
        raise GenerationError(f"expected {asked} {what}, one per item and in order; {len(answers)} came back")
    return answers
