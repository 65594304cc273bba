"""Hints for groups that solved nothing, with hints and attempts written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from stories import OTHER, PROBLEM, PROMPTS, RIGHT, TASK, WRONG_AT_1, WRONG_AT_2, Canned, ended, group, ids, words

from mel.methods import AUXILIARIES, Surroundings, drive
from mel.stages.scaffold import first_lines, first_steps
from mel.types import Group, Outcome

AT = Surroundings(tokenizer=words(), prompts=PROMPTS, steps=TASK.steps, rollout_max_tokens=44)
STUCK = group(WRONG_AT_1, WRONG_AT_2)
SOLVED = replace(STUCK, problem=replace(PROBLEM, metadata={"solution": RIGHT}))
FIRST = "1) finds plus 3 = 53"
RULE = "rule sorts means same"


def learn(
    groups: Sequence[Group], *calls: list[str | None], at: Surroundings = AT, **settings: object
) -> tuple[Outcome, Canned]:
    generator = Canned(list(calls))
    auxiliary = AUXILIARIES["scaffold"](**settings).build(at)
    return drive(auxiliary.learn(groups, step=1), generator, TASK), generator


def test_a_right_attempt_with_the_policys_own_hint_takes_a_failures_place_in_its_own_context() -> None:
    outcome, generator = learn([STUCK], [RULE], [WRONG_AT_1, RIGHT], levels=1)
    write, attempt = (prompts for prompts, _ in generator.asked)
    assert write == (ids(f"<user> {PROBLEM.text} right rule <assistant>"),)
    hinted = ids(f"<user> {PROBLEM.text} note {RULE} <assistant>")
    assert attempt == (hinted, hinted)
    assert outcome.groups is not None
    (changed,) = outcome.groups
    (new,) = [r for r in changed.rollouts if not any(r is old for old in STUCK.rollouts)]
    assert (new.token_ids, new.context_ids, new.hint, new.reward) == (ended(RIGHT), hinted, range(0), 1.0)
    assert len(changed.rollouts) == 2
    assert outcome.counts == {
        **{"groups": 1, "all_wrong": 1, "hints": 1, "leaks": 0, "attempts": 2, "right": 1, "rescued": 1},
        **{"skipped/no_hint": 0},
    }


def test_a_level_is_tried_only_if_the_one_before_helped_nobody() -> None:
    # The first step of the worked solution, then the first two; they begin the answer.
    settings = {"source": "reference", "given_in": "answer", "levels": 2, "attempts": 1}
    outcome, generator = learn([SOLVED, replace(SOLVED)], [RIGHT[len(FIRST) :], None], [None], **settings)
    one, two = ids(FIRST), ids(f"{FIRST} 2) sorts same 2 = 53")
    assert [prompts for prompts, _ in generator.asked] == [(STUCK.prompt_ids + one,) * 2, (STUCK.prompt_ids + two,)]
    assert outcome.counts["rescued"] == 1
    assert outcome.groups is not None
    assert [group.pass_rate for group in outcome.groups] == [0.5, 0.0]
    assert [r.hint for r in outcome.groups[0].rollouts if r.verdict.is_correct] == [range(6)]


def test_a_hint_that_states_the_answer_is_left_out_and_counted() -> None:
    outcome, generator = learn([STUCK], ["= 48"], [], levels=1)
    assert generator.asked[1][0] == ()
    assert (outcome.counts["leaks"], outcome.counts["skipped/no_hint"], outcome.groups) == (1, 1, (STUCK,))


def test_a_neighbor_that_was_solved_is_shown_with_its_solution() -> None:
    other = group(RIGHT, problem=OTHER)
    outcome, generator = learn([STUCK, other], [RIGHT], source="neighbor", levels=1, attempts=1)
    assert generator.asked[0][0] == (ids(f"<user> {PROBLEM.text} note {OTHER.text} {RIGHT} <assistant>"),)
    assert outcome.counts["rescued"] == 1


LEARNED = ("rule sorts means same", "rule finds means plus", "= 48", "rule sorts means twice")
"""Heuristics of an earlier run, those about the most similar problems first; the third states the answer."""


def remembered(run: str, problem: str, k: int) -> Sequence[str]:
    assert (run, problem) == ("runs/before", PROBLEM.text)
    return LEARNED[:k]


def test_what_an_earlier_run_learned_is_the_hint_one_heuristic_more_at_each_level() -> None:
    at, settings = replace(AT, recall=remembered), {"source": "experience", "experiences_of": "runs/before"}
    outcome, generator = learn([STUCK], [WRONG_AT_1], [RIGHT], [], at=at, attempts=1, levels=3, **settings)
    # With the third heuristic a hint would state the answer, and nothing is tried at that level.
    one, two = LEARNED[0], f"{LEARNED[0]} {LEARNED[1]}"
    assert [prompts for prompts, _ in generator.asked] == [
        *((ids(f"<user> {PROBLEM.text} note {hint} <assistant>"),) for hint in (one, two)),
        (),
    ]
    assert outcome.groups is not None
    assert outcome.groups[0].pass_rate == 0.5
    expected = {"hints": 3, "leaks": 1, "attempts": 2, "right": 1, "rescued": 1}
    assert {name: outcome.counts[name] for name in expected} == expected


def test_heuristics_that_are_longer_than_a_hint_may_be_are_not_given() -> None:
    at, settings = replace(AT, recall=remembered), {"source": "experience", "experiences_of": "runs/before"}
    # The first heuristic has four tokens, the first two eight.
    _, generator = learn([STUCK], [WRONG_AT_1], [], at=at, attempts=1, levels=2, hint_max_tokens=7, **settings)
    assert [len(prompts) for prompts, _ in generator.asked] == [1, 0]


@pytest.mark.parametrize("settings", [{"source": "experience"}, {"experiences_of": "runs/before"}])
def test_experiences_and_the_run_they_are_from_are_named_together(settings: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="expected source: experience together with experiences_of: <directory of a"):
        AUXILIARIES["scaffold"](**settings)
    with pytest.raises(ValueError, match="needs surroundings with `recall`"):
        AUXILIARIES["scaffold"](source="experience", experiences_of="runs/before").build(AT)


def test_nothing_is_hinted_before_its_time() -> None:
    outcome, generator = learn([STUCK], [], [], [], [], after=1)
    assert [prompts for prompts, _ in generator.asked] == [()] * 4
    assert outcome.groups == (STUCK,)


@pytest.mark.parametrize("source", ["self", "reference", "neighbor"])
@pytest.mark.parametrize("groups", [[], [group()], [group(RIGHT, RIGHT)], [group(RIGHT, WRONG_AT_2)]])
def test_the_same_requests_come_from_groups_that_need_no_hint(groups: list[Group], source: str) -> None:
    outcome, generator = learn(groups, [], [], [], [], source=source)
    assert len(generator.asked) == 3 + (source == "self")
    assert outcome.groups == tuple(groups)


def test_worked_solutions_are_asked_for_only_of_a_task_that_has_some() -> None:
    settings = AUXILIARIES["scaffold"](source="reference")
    settings.check(rollouts=8, problems=TASK.problems("train", 2), inspector=None)
    with pytest.raises(ValueError, match=r"scaffold.source: 'reference' .* no problem of this task has one; use self"):
        settings.check(rollouts=8, problems=[PROBLEM], inspector=None)
    AUXILIARIES["scaffold"](source="self").check(rollouts=8, problems=[PROBLEM], inspector=None)


def test_lines_and_steps_accumulate() -> None:
    assert first_lines("a\n\n b\nc\nd", 3) == ["a", "a\n b", "a\n b\nc"]
    assert first_steps(RIGHT, TASK.steps, 5) == [f"{FIRST} ", f"{FIRST} 2) sorts same 2 = 53 "]
    assert first_steps("", TASK.steps, 5) == first_lines("", 3) == []


def test_a_solution_of_another_problem_is_no_beginning_of_an_answer() -> None:
    with pytest.raises(ValueError, match="scaffold: given_in 'answer' would begin the answer with another problem"):
        AUXILIARIES["scaffold"](source="neighbor", given_in="answer")
