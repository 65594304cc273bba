"""Does the policy see where a wrong solution went wrong, and is what it concludes true?"""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from stories import TASK, WRONG_ANSWER_ONLY, WRONG_AT_2, candidate, pair

from mel.methods.auxiliaries.meta_experience.ledger import tally, truth_of
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
    Truth,
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


def _with_truth(item: Replayed) -> Replayed:
    return replace(item, truth=truth_of(item.candidate, Words()))


def test_the_truth_is_asked_of_the_task_once_and_carried_on(candidates: Sequence[Replayed]) -> None:
    found = [truth_of(item.candidate, Words()) for item in candidates]
    assert [t.first_error for t in found] == [1, 2, 2, None, 1]
    assert [t.is_true_rule for t in found] == [True, False, None, True, None]


def test_a_task_that_cannot_tell_leaves_unknowns(candidates: Sequence[Replayed]) -> None:
    assert {truth_of(item.candidate, None) for item in candidates} == {Truth()}


def test_agreement_with_the_truth_is_counted_where_it_is_known(candidates: Sequence[Replayed]) -> None:
    counts = tally(_with_truth(item) for item in candidates)
    # Of four parsed ones three have a known first error, two of which were blamed; three rules can be checked.
    assert (counts["located"], counts["locatable"]) == (2, 3)
    assert (counts["kept_located"], counts["kept_locatable"]) == (1, 2)
    assert (counts["rules_true"], counts["rules"]) == (2, 3)
    assert (counts["kept_rules_true"], counts["kept_rules"]) == (1, 2)
    assert (counts["candidates"], counts["parsed"], counts["leaks"], counts["kept"]) == (5, 4, 1, 2)


@pytest.mark.parametrize(
    ("first_error", "bifurcation", "expected"), [(2, 2, True), (2, 1, False), (None, 2, None), (2, None, None)]
)
def test_a_step_is_located_only_where_both_are_known(
    first_error: int | None, bifurcation: int | None, expected: bool | None
) -> None:
    assert Truth(first_error=first_error).locates(bifurcation) is expected


def test_a_task_that_knows_concepts_says_what_the_first_error_turns_on() -> None:
    found = truth_of(candidate(pair(WRONG_AT_2)), TASK)
    assert (found.first_error, found.concept) == (2, "sorts")
    assert truth_of(candidate(pair(WRONG_ANSWER_ONLY)), TASK).concept is None
