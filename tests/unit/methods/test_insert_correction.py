"""Corrections behind a wrong step, with diagnoses and continuations written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from stories import ANALYSIS, CONTINUED, M_AT_2, PROMPTS, RIGHT, TASK, WRONG_AT_1, WRONG_AT_2, Canned, group, ids, words

from mel.methods import AUXILIARIES, Surroundings, drive
from mel.types import Group, Outcome, Row, Sampling, Step

AT = Surroundings(tokenizer=words(), prompts=PROMPTS, steps=TASK.steps, rollout_max_tokens=44)
FEW = {"min_right": 1, "min_wrong": 1, "samples": 2}
MIXED = group(RIGHT, WRONG_AT_2)
WRONG = "1) finds plus 3 = 53 2) sorts minus 2 = 51"
AGAIN = "2) sorts minus 2 = 51 3) loses minus 5 = 46 answer 46"


def learn(groups: Sequence[Group], *calls: list[str | None], **settings: object) -> tuple[Outcome, Canned]:
    generator = Canned(list(calls))
    auxiliary = AUXILIARIES["insert_correction"](**{**FEW, **settings}).build(AT)
    return drive(auxiliary.learn(groups, step=1), generator, TASK), generator


def test_corrections_follow_the_wrong_step_and_its_diagnosis_in_a_group_of_their_own() -> None:
    outcome, generator = learn([MIXED], [ANALYSIS], [CONTINUED, AGAIN])
    (diagnose, how), (correct, _) = generator.asked
    assert (len(diagnose), how) == (1, Sampling(max_tokens=1024, temperature=0.0))
    given = ids(f"{WRONG} {M_AT_2}")
    assert correct == (MIXED.prompt_ids + given,) * 2
    assert outcome.groups is not None
    same, own = outcome.groups
    assert same is MIXED
    assert [(r.text, r.hint) for r in own.rollouts] == [
        (f"{words().decode(given)} {CONTINUED}", range(len(given))),
        (f"{words().decode(given)} {AGAIN}", range(len(given))),
    ]
    # Judged is the solution without its wrong step and what was said of it.
    assert [r.reward for r in own.rollouts] == [1.0, 0.0]
    assert outcome.rows == (Row(context_ids=MIXED.prompt_ids + ids(WRONG), target_ids=ids(M_AT_2)),)
    assert outcome.counts == {
        **{"groups": 1, "constructions": 1, "parsed": 1, "attempts": 2, "right": 1, "rows": 1},
        **{"skipped/uniform": 0},
    }


def test_a_wrong_last_step_is_continued_without_the_end_of_its_sequence() -> None:
    # Steps that reach to the end of the text, where the wrong rollout's end of sequence stands.
    def to_the_end(text: str) -> tuple[Step, ...]:
        return tuple(replace(s, end=len(text)) if s.number == 3 else s for s in TASK.steps(text))

    auxiliary = AUXILIARIES["insert_correction"](**FEW).build(replace(AT, steps=to_the_end))
    generator = Canned([[ANALYSIS.replace("at 2)", "at 3)")], [CONTINUED, AGAIN]])
    drive(auxiliary.learn([MIXED], step=1), generator, TASK)
    _, (correct, _) = generator.asked
    assert correct[0] == MIXED.prompt_ids + ids(f"{WRONG_AT_2} {M_AT_2.replace('at 2)', 'at 3)')}")


def test_a_diagnosis_that_led_to_nothing_right_is_not_learned() -> None:
    outcome, _ = learn([MIXED], [ANALYSIS], [AGAIN, AGAIN])
    assert (outcome.rows, outcome.groups, outcome.counts["skipped/uniform"]) == ((), (MIXED,), 1)


def test_a_diagnosis_is_learned_only_where_that_is_asked_for() -> None:
    outcome, _ = learn([MIXED], [ANALYSIS], [CONTINUED, CONTINUED], learn_diagnosis=False)
    assert outcome.rows == ()


@pytest.mark.parametrize(
    ("written", "reason"), [(None, "truncated"), ("", "no_bifurcation"), (f"{M_AT_2} = 48", "states_answer")]
)
def test_what_cannot_be_read_or_gives_the_answer_away_is_counted(written: str | None, reason: str) -> None:
    outcome, generator = learn([MIXED], [written], [])
    assert generator.asked[1][0] == ()
    assert (outcome.counts["parsed"], outcome.counts[f"failure/{reason}"], outcome.groups) == (0, 1, (MIXED,))


def test_no_more_than_the_most_are_constructed() -> None:
    outcome, generator = learn([MIXED, MIXED, MIXED], [ANALYSIS, ANALYSIS], [AGAIN] * 4, most=2)
    assert (len(generator.asked[0][0]), outcome.counts["skipped/too_many"]) == (2, 1)


def test_groups_that_could_never_hold_enough_are_refused() -> None:
    settings = AUXILIARIES["insert_correction"](min_right=2, min_wrong=4)
    settings.check(rollouts=6, problems=(), inspector=None)
    with pytest.raises(ValueError, match="no group of 5 rollouts holds 2 right and 4 wrong ones; lower min_right"):
        settings.check(rollouts=5, problems=(), inspector=None)


NOTHING = [[], [group()], [group(RIGHT, RIGHT)], [group(WRONG_AT_1, WRONG_AT_2)], [group(RIGHT, RIGHT, WRONG_AT_2)]]


@pytest.mark.parametrize("groups", NOTHING)
def test_the_same_requests_come_from_groups_with_too_few_right_or_wrong_ones(groups: list[Group]) -> None:
    outcome, generator = learn(groups, [], [], min_right=2, min_wrong=2)
    assert [prompts for prompts, _ in generator.asked] == [(), ()]
    assert (outcome.groups, outcome.rows) == (tuple(groups), ())
    assert outcome.counts.get("skipped/group", 0) == len(groups)
