"""Tokens and seconds by phase."""

from collections.abc import Sequence
from time import sleep

import pytest

from mel.ports import Requests
from mel.requests import Generate, Score, Verify
from mel.step import Accounting
from mel.types import Completion, Sampling, Verdict

HOW = Sampling(max_tokens=9)


def asks() -> Requests[str]:
    first = yield Generate(prompts=((1,), (2,)), sampling=HOW, phase="write")
    again = yield Generate(prompts=((1,),), sampling=HOW, phase="write")
    verdicts = yield Verify(problems=(), responses=())
    logps = yield Score(contexts=((1,),), targets=((2,),), phase="look")
    return f"{len(first)} {len(again)} {len(verdicts)} {len(logps)}"


def completions(*lengths: int) -> list[Completion]:
    return [Completion(token_ids=(5,) * n, text="") for n in lengths]


def test_requests_and_answers_pass_through_and_their_tokens_are_summed_by_phase() -> None:
    accounting = Accounting()
    watched = accounting.watch(asks())
    kinds = [type(next(watched))]
    answers: Sequence[Sequence[object]] = [
        completions(2, 4),
        completions(3),
        [Verdict(is_correct=True, reason="right")],
    ]
    kinds += [type(watched.send(answer)) for answer in answers]  # type: ignore[arg-type]
    with pytest.raises(StopIteration) as stop:
        watched.send([(-1.0,)])
    assert kinds == [Generate, Generate, Verify, Score]
    assert stop.value.value == "2 1 1 1"
    assert accounting.counts() == {"tokens/rollout": 0, "tokens/write": 9}
    assert set(accounting.seconds) == {"write", "verify", "look"}


def test_expected_phases_count_0_until_something_is_written_and_keep_what_was() -> None:
    accounting = Accounting()
    accounting.tokens["rollout"] += 7
    accounting.expect(["write", "rollout"])
    assert accounting.counts() == {"tokens/rollout": 7, "tokens/write": 0}


def test_seconds_are_those_that_the_answer_took() -> None:
    accounting = Accounting()
    watched = accounting.watch(asks())
    next(watched)
    sleep(0.05)
    watched.send(completions(1, 1))
    assert 0.05 <= accounting.seconds["write"] < 1.0


def test_an_error_of_the_engine_reaches_the_method() -> None:
    watched = Accounting().watch(asks())
    next(watched)
    with pytest.raises(RuntimeError, match="out of memory"):
        watched.throw(RuntimeError("out of memory"))
