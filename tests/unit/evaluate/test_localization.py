from collections.abc import Sequence

import pytest

from mel.evaluate.localization import inspect
from mel.types import (
    Attempt,
    Candidate,
    Completion,
    Group,
    MetaExperience,
    Pair,
    Problem,
    Replayed,
    Rollout,
    Step,
    Verdict,
)

WORDS = {"sorts": "same", "wins": "plus"}


class Words:
    """A solution is words `verb:meaning`; the truth is a table."""

    def first_error(self, problem: Problem, response: str) -> int | None:
        for number, word in enumerate(response.split(), 1):
            verb, meaning = word.split(":")
            if verb not in WORDS:
                return None
            if WORDS[verb] != meaning:
                return number
        return None

    def is_true_rule(self, problem: Problem, heuristic: str) -> bool | None:
        verb, _, meaning = heuristic.partition(" means ")
        return WORDS.get(verb) == meaning if meaning else None


def _replayed(
    wrong: str, star: int | None, heuristic: str = "", *, is_kept: bool = False, leaks: bool = False
) -> Replayed:
    words = wrong.split()
    steps = tuple(Step(number=i, start=0, end=1) for i, _ in enumerate(words, 1))
    rollout = Rollout(token_ids=(), text=wrong, verdict=Verdict(is_correct=False, reason="wrong"), reward=0.0)
    group = Group(problem=Problem(id="p", text="", answer=""), prompt_ids=(), rollouts=(rollout,))
    pair = Pair(group=group, right=rollout, wrong=rollout, wrong_index=0, right_steps=steps, wrong_steps=steps)
    experience = MetaExperience(bifurcation=star, critique="", heuristic=heuristic, text="") if star else None
    candidate = Candidate(
        pair=pair,
        context_ids=(),
        completion=Completion(token_ids=(), text=""),
        experience=experience,
        failure="" if star else "no_bifurcation",
        states_answer=leaks,
    )
    verdict = Verdict(is_correct=is_kept, reason="right" if is_kept else "wrong")
    attempts = (Attempt(completion=candidate.completion, response="", verdict=verdict),)
    return Replayed(
        candidate=candidate,
        prefix_ids=(),
        attempts=attempts if star else (),
        is_kept=is_kept,
        reason="kept" if is_kept else "no",
    )


@pytest.fixture
def candidates() -> list[Replayed]:
    return [
        _replayed("sorts:minus wins:plus", 1, "sorts means same", is_kept=True),  # located, true
        _replayed("sorts:same wins:minus", 1, "wins means minus", is_kept=True, leaks=True),  # blamed wrongly, false
        _replayed("sorts:same wins:same", 2, "be careful"),  # located, nothing to check
        _replayed("flies:plus wins:plus x:y z:w", 3, "wins means plus"),  # unknown error, true
        _replayed("sorts:minus wins:plus", None),  # not parsed
    ]


def test_the_truth_comes_in_the_order_of_the_candidates(candidates: Sequence[Replayed]) -> None:
    truth = inspect(candidates, Words())
    assert truth.first_error == (1, 2, 2, None, 1)
    assert truth.rule_truth == (True, False, None, True, None)


def test_a_task_that_cannot_tell_leaves_unknowns(candidates: Sequence[Replayed]) -> None:
    truth = inspect(candidates, object())
    assert truth.first_error == truth.rule_truth == (None,) * 5
