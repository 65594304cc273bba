"""Driving a method: every request answered once, in order, with as many answers of the right kind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from stories import PROBLEM, RIGHT, TASK, WRONG_AT_1, Canned, completion

from mel.methods import GenerationError, adrive, drive
from mel.methods.drive import completed, rated, rewarded, verified
from mel.ports import Ratings, Requests
from mel.requests import Generate, Rate, Request, Reward, Verify
from mel.types import Completion, Sampling, Verdict

SAMPLING = Sampling(max_tokens=8)


def ask(prompts: int = 2, responses: tuple[str, ...] = (RIGHT, WRONG_AT_1)) -> Requests[tuple[list[str], list[bool]]]:
    """A method that wants completions, then verdicts, and returns both."""
    done = yield from completed(Generate(prompts=((1,),) * prompts, sampling=SAMPLING, phase="construct"))
    judged = yield from verified(Verify(problems=(PROBLEM,) * len(responses), responses=responses))
    return [c.text for c in done], [v.is_correct for v in judged]


async def answer(request: Request) -> Sequence[Completion] | Sequence[Verdict]:
    await asyncio.sleep(0)
    if isinstance(request, Generate):
        return [completion(t) for t in ("a", "b")[: len(request.prompts)]]
    return TASK.verify(request.problems, request.responses)


def test_the_result_is_what_the_method_returns() -> None:
    assert drive(ask(), Canned([["a", "b"]]), TASK) == (["a", "b"], [True, False])


def test_async_answers_give_the_same_result() -> None:
    assert asyncio.run(adrive(ask(), answer)) == drive(ask(), Canned([["a", "b"]]), TASK)


def test_empty_requests_are_answered_too() -> None:
    generator = Canned([[]])
    assert drive(ask(0, ()), generator, TASK) == ([], [])
    assert generator.asked == [((), SAMPLING)]
    assert asyncio.run(adrive(ask(0, ()), answer)) == ([], [])


def test_a_method_that_asks_nothing_returns_at_once() -> None:
    def nothing() -> Requests[int]:
        return 3
        yield

    assert drive(nothing(), Canned([]), TASK) == 3
    assert asyncio.run(adrive(nothing(), answer)) == 3


@pytest.mark.parametrize("texts", [["a"], ["a", "b", "c"], []])
def test_another_number_of_completions_is_an_error(texts: list[str | None]) -> None:
    message = f"expected 2 completions for construct, one per item and in order; {len(texts)} came back"
    with pytest.raises(GenerationError, match=message):
        drive(ask(), Canned([texts]), TASK)


class Forgetful:
    """A verifier that loses the last response."""

    def verify(self, problems: Sequence[object], responses: Sequence[str]) -> list[Verdict]:
        return [Verdict(is_correct=True, reason="right")] * (len(responses) - 1)


def test_another_number_of_verdicts_is_an_error() -> None:
    with pytest.raises(GenerationError, match="expected 2 verdicts, one per item and in order; 1 came back"):
        drive(ask(), Canned([["a", "b"]]), Forgetful())


def test_another_number_of_async_answers_is_an_error() -> None:
    async def silent(request: Request) -> list[Completion]:
        return []

    with pytest.raises(GenerationError, match=r"expected 2 completions for construct.*0 came back"):
        asyncio.run(adrive(ask(), silent))


def test_an_answer_of_the_wrong_kind_is_an_error() -> None:
    async def confused(request: Request) -> list[Verdict]:
        return [Verdict(is_correct=True, reason="right")] * 2

    with pytest.raises(GenerationError, match="expected completions for construct as Completion; got Verdict"):
        asyncio.run(adrive(ask(), confused))


class Leaky:
    """An engine with a bug that must not look like the method's end."""

    def generate(self, prompts: Sequence[object], sampling: Sampling) -> list[Completion]:
        raise StopIteration("not a result")


def test_a_stop_iteration_out_of_an_engine_is_no_result() -> None:
    with pytest.raises(StopIteration, match="not a result"):
        drive(ask(), Leaky(), TASK)


class Curt:
    """Rates the first step only."""

    def rate(self, request: Rate) -> list[Ratings]:
        return [(0.5,) for _ in request.solutions]


def test_ratings_that_are_missing_are_an_error() -> None:
    request = Rate(problems=(PROBLEM,), solutions=(("a", "b"),))
    with pytest.raises(GenerationError, match="expected 2 ratings, one per step; 1 came back"):
        drive(rated(request), Canned([]), TASK, rater=Curt())


def test_a_request_that_no_model_is_there_for_is_an_error() -> None:
    with pytest.raises(GenerationError, match="there is no process reward model"):
        drive(rated(Rate(problems=(), solutions=())), Canned([]), TASK)
    with pytest.raises(GenerationError, match="there is no model that learns it"):
        drive(rewarded(Reward(contexts=(), targets=(), outcomes=())), Canned([]), TASK)
