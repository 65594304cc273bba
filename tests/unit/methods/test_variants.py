"""The choices beside the paper's: what is asked, replayed and learned under each, and which controls there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from stories import (
    ANALYSIS,
    CONTINUED,
    M_AT_2,
    OTHER,
    PROBLEM,
    PROMPTS,
    RIGHT,
    TASK,
    WALK,
    WRONG_AT_2,
    Canned,
    ended,
    group,
    ids,
    words,
)

from mel.methods import PAPER, MetaExperienceLearning, MetaExperienceSettings, Surroundings, drive
from mel.requests import Generate
from mel.types import Group, Outcome, Reference, Row

AT = Surroundings(tokenizer=words(), prompts=PROMPTS, steps=TASK.steps, rollout_max_tokens=44, inspector=TASK)
MIXED = group(RIGHT, WRONG_AT_2)
QUESTION = f"<user> {PROBLEM.text} <assistant>"
PREFIX = "1) finds plus 3 = 53"
STEPS_WRONG = "1) finds plus 3 = 53 2) sorts minus 2 = 51 3) loses minus 5 = 46"
PAIR_TURN = (
    f"<user> {PROBLEM.text} right 1) finds plus 3 = 53 2) sorts same 2 = 53 3) loses minus 5 = 48 "
    f"wrong {STEPS_WRONG} <assistant>"
)
DISTILLED = {"replay_from": "start", "target": "solution", "context": "question"}


def learn(groups: Sequence[Group], *calls: list[str | None], **changes: Any) -> tuple[Outcome, Canned]:
    generator = Canned(list(calls))
    method = MetaExperienceLearning(MetaExperienceSettings(**changes), AT)
    return drive(method.learn(groups, step=1), generator, TASK), generator


def test_distilled_teaches_the_accepted_replay_on_the_question_alone() -> None:
    outcome, generator = learn([MIXED], [ANALYSIS], [RIGHT], **DISTILLED)
    assert generator.asked[1][0] == (ids(f"<user> {PROBLEM.text} note {M_AT_2} <assistant>"),)
    assert outcome.rows == (Row(context_ids=ids(QUESTION), target_ids=ended(RIGHT)),)


@pytest.mark.parametrize(
    ("changes", "prompt", "answer"),
    [({}, f"{QUESTION} {PREFIX}", CONTINUED), (DISTILLED, QUESTION, RIGHT)],
)
def test_without_a_note_a_replay_is_a_rollout_from_the_same_place(
    changes: dict[str, Any], prompt: str, answer: str
) -> None:
    outcome, generator = learn([MIXED], [ANALYSIS], [answer], filter="no_note", **changes)
    assert generator.asked[1][0] == (ids(prompt),)
    assert (outcome.counts["kept"], len(outcome.rows)) == (1, 1)


def test_without_contrast_the_policy_sees_the_wrong_attempt_alone() -> None:
    outcome, generator = learn([MIXED], [ANALYSIS], [CONTINUED], construct_from="wrong")
    assert generator.asked[0][0] == (ids(f"<user> {PROBLEM.text} right [...] wrong {STEPS_WRONG} <assistant>"),)
    assert (len(outcome.rows), "cut" in outcome.counts) == (1, False)


def test_without_contrast_a_long_attempt_is_cut_and_counted() -> None:
    late = group(RIGHT, RIGHT.replace("loses minus 5 = 48 answer 48", "loses same 5 = 53 answer 53"))
    turn = f"<user> {PROBLEM.text} right [...] wrong [...] 3) loses same 5 = 53 <assistant>"
    limit = {"max_pair_tokens": len(ids(turn)), "long_pairs": "cut"}
    outcome, generator = learn([late], [""], [], construct_from="wrong", **limit)
    assert (generator.asked[0][0], outcome.counts["cut"]) == ((ids(turn),), 1)


def test_three_calls_draw_the_step_then_the_critique_then_the_heuristic_each_behind_what_was_kept() -> None:
    # What each call writes behind its part is dropped: the next one may say otherwise.
    calls = [f"{WALK} at 2) finds not plus ; rule x", "sorts not minus ; rule finds means plus", "sorts means same"]
    outcome, generator = learn([MIXED], *[[c] for c in calls], [CONTINUED], construct_calls=3)
    assert [prompts for prompts, _ in generator.asked[:3]] == [
        (ids(PAIR_TURN),),
        (ids(f"{PAIR_TURN} {WALK} at 2)"),),
        (ids(f"{PAIR_TURN} {WALK} at 2) sorts not minus ; rule"),),
    ]
    (item,) = outcome.replayed
    assert item.candidate.completion.token_ids == ended(ANALYSIS)
    assert item.candidate.experience is not None
    # The miniature has no word `;`, so a text that is decoded lacks it.
    assert item.candidate.experience.text == M_AT_2.replace(" ;", "")
    assert item.is_kept


@pytest.mark.parametrize(
    ("calls", "reason"),
    [
        (["nothing"], "no_bifurcation"),
        ([None], "truncated"),
        (["at 2) sorts", "sorts not minus"], "no_heuristic"),
        (["at 2) sorts", None], "truncated"),
        (["at 2) sorts", "not minus ; rule x", None], "truncated"),
    ],
)
def test_an_answer_that_lacks_a_part_is_asked_no_further(calls: list[str | None], reason: str) -> None:
    rounds = [[call] for call in calls] + [[]] * (3 - len(calls))
    outcome, generator = learn([MIXED], *rounds, [], construct_calls=3)
    assert [len(prompts) for prompts, _ in generator.asked] == [1] * len(calls) + [0] * (4 - len(calls))
    assert outcome.replayed[0].reason == reason


def test_an_end_right_behind_a_part_is_drawn_anew_as_all_that_follows_it() -> None:
    calls = ["at 2)", "sorts not minus ; rule", "sorts means same"]
    outcome, generator = learn([MIXED], *[[c] for c in calls], [CONTINUED], construct_calls=3)
    assert [prompts for prompts, _ in generator.asked[:3]] == [
        (ids(PAIR_TURN),),
        (ids(f"{PAIR_TURN} at 2)"),),
        (ids(f"{PAIR_TURN} at 2) sorts not minus ; rule"),),
    ]
    assert outcome.replayed[0].is_kept


def test_a_given_step_leaves_the_first_of_three_calls_without_a_question() -> None:
    outcome, generator = learn(
        [MIXED],
        [],
        ["at 1) sorts not minus ; rule x"],
        ["sorts means same"],
        [CONTINUED],
        construct_calls=3,
        localizer="oracle",
    )
    assert [len(prompts) for prompts, _ in generator.asked] == [0, 1, 1, 1]
    assert outcome.counts["located"] == 1


def test_three_calls_are_made_in_every_batch() -> None:
    requests = MetaExperienceLearning(MetaExperienceSettings(construct_calls=3), AT).learn([], step=1)
    phases = [next(requests), *[requests.send([]) for _ in range(3)]]
    assert [(r.phase, r.prompts) for r in phases if isinstance(r, Generate)] == [
        *[("construct", ())] * 3,
        ("replay", ()),
    ]


SOLVED = "1) buys plus 1 = 41 2) eats minus 2 = 39 answer 39"


def hard_group() -> Group:
    """Another problem, on which every rollout is wrong."""
    own = group("1) buys plus 1 = 41 2) eats plus 2 = 43 answer 43", problem=OTHER)
    return replace(own, rollouts=tuple(replace(r, verdict=TASK.verify([OTHER], [r.text])[0]) for r in own.rollouts))


def test_a_sibling_problem_is_solved_judged_and_learned_in_the_place_of_the_own() -> None:
    settings = DISTILLED | {"replay_on": "sibling"}
    outcome, generator = learn([MIXED, hard_group()], [ANALYSIS], [SOLVED], **settings)
    assert generator.asked[1][0] == (ids(f"<user> {OTHER.text} note {M_AT_2} <assistant>"),)
    assert [r.reason for r in outcome.replayed] == ["kept"]
    assert outcome.rows == (Row(context_ids=ids(f"<user> {OTHER.text} <assistant>"), target_ids=ended(SOLVED)),)
    alone, _ = learn([MIXED], [ANALYSIS], [], **settings)
    assert (alone.rows, alone.counts["failure/no_sibling"]) == ((), 1)
    assert MetaExperienceSettings(**settings).compares_groups


@pytest.mark.parametrize(("answer", "advantage"), [(RIGHT, 0.5), (WRONG_AT_2, -0.5)])
def test_policy_gradient_hands_over_a_row_per_replayed_experience_kept_or_not(answer: str, advantage: float) -> None:
    outcome, _ = learn([MIXED], [ANALYSIS], [answer], **PAPER, objective="policy_gradient")
    (row,) = outcome.rows
    target = ended(ANALYSIS)
    assert (row.context_ids, row.target_ids, row.term) == (ids(PAIR_TURN), target, "policy")
    assert row.advantages == (advantage,) * len(target)


def test_distill_teaches_the_replays_tokens_by_the_policy_that_has_the_note() -> None:
    outcome, _ = learn([MIXED], [ANALYSIS], [RIGHT], **DISTILLED, objective="distill", divergence="jsd", top_k=3)
    teacher = ids(f"<user> {PROBLEM.text} note {M_AT_2} <assistant>")
    assert outcome.rows == (
        Row(
            context_ids=ids(QUESTION),
            target_ids=ended(RIGHT),
            term="distill",
            reference=Reference(context_ids=teacher, divergence="jsd", top_k=3),
        ),
    )


def test_both_contexts_hand_over_two_rows_for_one_experience() -> None:
    outcome, _ = learn([MIXED], [ANALYSIS], [RIGHT], **PAPER | {"context": "both", "target": "heuristic+critique"})
    assert [row.context_ids for row in outcome.rows] == [ids(f"{PAIR_TURN} {WALK} at 2)"), ids(QUESTION)]
    assert (outcome.counts["kept"], outcome.counts["rows"]) == (1, 2)
