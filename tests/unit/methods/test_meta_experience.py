"""Meta-experience learning from groups to rows, on attempts, analyses and continuations written by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stories import (
    ANALYSIS,
    CONTINUED,
    M_AT_2,
    NO_STEPS,
    OTHER,
    PROBLEM,
    PROMPTS,
    RIGHT,
    TASK,
    WALK,
    WRONG_AT_1,
    WRONG_AT_2,
    WRONG_AT_3,
    Canned,
    ended,
    group,
    ids,
    words,
)

from mel.methods import PAPER, MetaExperienceLearning, MetaExperienceSettings, Surroundings, adrive, drive
from mel.record import ExperienceStore
from mel.record.experience import pair_of
from mel.requests import Generate, Request
from mel.types import Completion, Group, Outcome, Row, Sampling, Verdict

PREFIX = "1) finds plus 3 = 53"
AT = Surroundings(tokenizer=words(), prompts=PROMPTS, steps=TASK.steps, rollout_max_tokens=44, inspector=TASK)
MIXED = group(RIGHT, WRONG_AT_2)

PAIR_TURN = (
    f"<user> {PROBLEM.text} right 1) finds plus 3 = 53 2) sorts same 2 = 53 3) loses minus 5 = 48 "
    "wrong 1) finds plus 3 = 53 2) sorts minus 2 = 51 3) loses minus 5 = 46 <assistant>"
)
WRONG_END = "2) sorts plus 2 = 55 3) loses minus 5 = 50 answer 50"
LEAK = f"{M_AT_2} = 48"
OTHER_RIGHT = "1) buys plus 1 = 41 2) eats minus 2 = 39 answer 39"
OTHER_WRONG = "1) buys plus 1 = 41 2) eats plus 2 = 43 answer 43"
OTHER_M = "at 2) eats not plus ; rule eats means minus"


def learner(at: Surroundings = AT, **changes: Any) -> MetaExperienceLearning:
    return MetaExperienceLearning(MetaExperienceSettings(**changes), at)


def learn(
    groups: Sequence[Group], constructed: list[str | None], replays: list[str | None], **changes: Any
) -> tuple[Outcome, Canned]:
    generator = Canned([constructed, replays])
    return drive(learner(**changes).learn(groups, step=1), generator, TASK), generator


def other_group() -> Group:
    own = group(OTHER_RIGHT, OTHER_WRONG, problem=OTHER)
    judged = TASK.verify([OTHER] * 2, [OTHER_RIGHT, OTHER_WRONG])
    return replace(own, rollouts=tuple(replace(r, verdict=v) for r, v in zip(own.rollouts, judged, strict=True)))


def test_bifurcation_replay_teaches_the_step_that_worked_token_by_token() -> None:
    outcome, generator = learn([MIXED], [ANALYSIS], [CONTINUED])
    (construct, how_construct), (replay, how_replay) = generator.asked
    assert construct == (ids(PAIR_TURN),)
    assert how_construct == Sampling(max_tokens=1024, temperature=0.0)
    assert replay == (ids(f"<user> {PROBLEM.text} note {M_AT_2} <assistant> {PREFIX}"),)
    assert how_replay == Sampling(max_tokens=44, temperature=1.0)
    assert outcome.rows == (
        Row(
            context_ids=ids(f"<user> {PROBLEM.text} <assistant> {PREFIX}"),
            target_ids=ids("2) sorts same 2 = 53"),
        ),
    )
    (item,) = outcome.replayed
    assert (item.is_kept, item.reason, item.prefix_ids) == (True, "kept", ids(PREFIX))
    assert item.attempts[0].response == f"{PREFIX} {CONTINUED}"
    assert outcome.counts == {
        **{"groups": 1, "rows": 1, "candidates": 1, "parsed": 1, "leaks": 0, "kept": 1},
        **{"replayed": 1, "attempts": 1, "attempts_right": 1},
        **{"locatable": 1, "located": 1, "kept_locatable": 1, "kept_located": 1},
        **{"rules": 1, "rules_true": 1, "kept_rules": 1, "kept_rules_true": 1},
    }


def test_the_papers_point_teaches_all_that_was_written_in_its_own_context() -> None:
    outcome, generator = learn([MIXED], [ANALYSIS], [RIGHT], **PAPER)
    assert generator.asked[0][1].temperature == 1.0
    assert generator.asked[1][0] == (ids(f"<user> {PROBLEM.text} note {M_AT_2} <assistant>"),)
    assert outcome.rows == (Row(context_ids=ids(PAIR_TURN), target_ids=ended(f"{WALK} {M_AT_2}")),)
    assert outcome.replayed[0].prefix_ids == ()


@pytest.mark.parametrize("changes", [{}, {"construct_from": "wrong"}, {"localizer": "oracle"}])
def test_the_prompt_of_an_experience_can_be_made_again_from_what_is_stored(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    outcome, generator = learn([MIXED], [ANALYSIS], [CONTINUED], **changes)
    with ExperienceStore.create(tmp_path / "experiences.db") as store:
        store.write_step(1, outcome.replayed)
        (stored,) = store.list().items
    again = pair_of(stored, prompt_ids=MIXED.prompt_ids, opening=MIXED.opening)
    settings = MetaExperienceSettings(**changes)
    context = settings.writing_context(again, stored.bifurcation, tokenizer=words(), prompts=PROMPTS)
    assert (context,) == generator.asked[0][0]


def test_a_failed_replay_teaches_nothing_and_stays_in_the_ledger() -> None:
    outcome, _ = learn([MIXED], [ANALYSIS], [WRONG_END])
    assert outcome.rows == ()
    assert outcome.replayed[0].reason == "failed_replay"
    assert outcome.counts["failure/failed_replay"] == 1
    assert (outcome.counts["kept"], outcome.counts["located"], outcome.counts["kept_locatable"]) == (0, 1, 0)


def test_a_truncated_replay_is_wrong_by_its_verdict() -> None:
    outcome, _ = learn([MIXED], [ANALYSIS], [None])
    assert outcome.replayed[0].attempts[0].completion.is_truncated
    assert outcome.replayed[0].attempts[0].verdict.reason == "no_final_answer"
    assert outcome.rows == ()


@pytest.mark.parametrize(
    ("written", "reason"),
    [(None, "truncated"), ("", "no_bifurcation"), ("at 9) x rule y", "bifurcation_out_of_range")],
)
def test_what_cannot_be_read_is_counted_and_not_replayed(written: str | None, reason: str) -> None:
    outcome, generator = learn([MIXED], [written], [])
    assert generator.asked[1][0] == ()
    assert outcome.rows == ()
    assert [(r.reason, r.is_kept) for r in outcome.replayed] == [(reason, False)]
    assert (outcome.counts[f"failure/{reason}"], outcome.counts["parsed"], outcome.counts["replayed"]) == (1, 0, 0)


NOTHING = [
    ("no_groups", []),
    ("empty", [group()]),
    ("all_right", [group(RIGHT, RIGHT)]),
    ("all_wrong", [group(WRONG_AT_1, WRONG_AT_2)]),
    ("no_steps", [group(RIGHT, NO_STEPS)]),
]


@pytest.mark.parametrize("mode", ["replay", "none", "shuffled"])
@pytest.mark.parametrize("groups", [g for _, g in NOTHING], ids=[n for n, _ in NOTHING])
def test_exactly_two_generate_requests_come_from_groups_without_pairs(groups: list[Group], mode: str) -> None:
    outcome, generator = learn(groups, [], [], **PAPER, filter=mode)
    assert [prompts for prompts, _ in generator.asked] == [(), ()]
    assert (outcome.rows, outcome.replayed) == ((), ())
    assert outcome.counts.get("groups", 0) == len(groups)


def test_two_generate_requests_come_first_and_second_with_their_phases() -> None:
    requests = learner().learn([MIXED], step=1)
    first = next(requests)
    assert isinstance(first, Generate)
    assert first.phase == "construct"
    done = Completion(token_ids=ended(ANALYSIS), text=ANALYSIS)
    second = requests.send([done])
    assert isinstance(second, Generate)
    assert second.phase == "replay"


def test_groups_that_were_passed_over_are_counted_by_reason() -> None:
    outcome, _ = learn([group(RIGHT), group(RIGHT, WRONG_AT_2, NO_STEPS)], [ANALYSIS], [CONTINUED])
    assert (outcome.counts["groups"], outcome.counts["skipped/group_not_mixed"]) == (2, 1)
    assert outcome.counts["skipped/no_steps"] == 1


def test_a_pair_too_long_for_its_limit_is_skipped_and_counted() -> None:
    length = len(ids(PAIR_TURN))
    outcome, generator = learn([MIXED], [], [], max_pair_tokens=length - 1)
    assert (generator.asked[0][0], outcome.counts["skipped/pair_too_long"]) == ((), 1)
    outcome, _ = learn([MIXED], [ANALYSIS], [CONTINUED], max_pair_tokens=length)
    assert len(outcome.rows) == 1


LATE = group(RIGHT, WRONG_AT_3)
LATE_TURN = f"<user> {PROBLEM.text} right [...] 3) loses minus 5 = 48 wrong [...] 3) loses same 5 = 53 <assistant>"
M_AT_3 = "at 3) loses not same ; rule loses means minus"
CUT = {"max_pair_tokens": len(ids(LATE_TURN)), "long_pairs": "cut"}


def test_a_cut_pair_is_asked_about_counted_and_replayed_from_the_whole_rollout() -> None:
    outcome, generator = learn([LATE], [M_AT_3], ["3) loses minus 5 = 48 answer 48"], **CUT)
    assert generator.asked[0][0] == (ids(LATE_TURN),)
    before = "1) finds plus 3 = 53 2) sorts same 2 = 53"
    assert generator.asked[1][0] == (ids(f"<user> {PROBLEM.text} note {M_AT_3} <assistant> {before}"),)
    (item,) = outcome.replayed
    assert (item.candidate.context_ids, item.prefix_ids, item.reason) == (ids(LATE_TURN), ids(before), "kept")
    assert [(row.context_ids, row.target_ids) for row in outcome.rows] == [
        (ids(f"<user> {PROBLEM.text} <assistant> {before}"), ids("3) loses minus 5 = 48"))
    ]
    assert (outcome.counts["cut"], outcome.counts["candidates"], outcome.counts["located"]) == (1, 1, 1)
    assert "skipped/pair_too_long" not in outcome.counts


def test_the_papers_row_holds_the_prompt_that_was_cut() -> None:
    outcome, _ = learn([LATE], [M_AT_3], [RIGHT], **PAPER, **CUT)
    assert outcome.rows == (Row(context_ids=ids(LATE_TURN), target_ids=ended(M_AT_3)),)


def test_a_step_that_a_cut_pair_does_not_show_cannot_be_blamed() -> None:
    outcome, generator = learn([LATE], ["at 2) sorts not same ; rule sorts means minus"], [], **CUT)
    assert generator.asked[1][0] == ()
    assert (outcome.replayed[0].reason, outcome.counts["cut"]) == ("bifurcation_out_of_range", 1)


def test_a_pair_too_long_even_when_cut_is_skipped_and_counted() -> None:
    outcome, generator = learn([LATE], [], [], max_pair_tokens=CUT["max_pair_tokens"] - 1, long_pairs="cut")
    assert generator.asked[0][0] == ()
    assert outcome.counts == {"groups": 1, "skipped/pair_too_long": 1, "rows": 0}


def test_pairs_are_cut_one_by_one() -> None:
    # Two pairs of 51 tokens and one of 36 (8 of the problem, 12 of either attempt, 4): only that one stays whole.
    groups = [LATE, other_group(), group(RIGHT, WRONG_AT_1)]
    outcome, generator = learn(groups, ["", "", ""], [], **CUT | {"max_pair_tokens": 36})
    assert [len(prompt) for prompt in generator.asked[0][0]] == [29, 36, 35]
    assert outcome.counts["cut"] == 2


def test_a_leak_is_counted_and_still_replayed_unless_it_is_to_be_rejected() -> None:
    outcome, _ = learn([MIXED], [LEAK], [CONTINUED], guard="count")
    assert (outcome.counts["leaks"], outcome.counts["kept"]) == (1, 1)
    outcome, generator = learn([MIXED], [LEAK], [], guard="reject")
    assert (outcome.counts["leaks"], outcome.counts["kept"], outcome.counts["failure/states_answer"]) == (1, 0, 1)
    assert generator.asked[1][0] == ()
    assert outcome.replayed[0].reason == "states_answer"


def test_several_attempts_share_a_prompt_and_are_judged_together() -> None:
    settings = {"replay_samples": 4, "accept": "uplift", "margin": 0.2}
    kept, generator = learn([MIXED], [ANALYSIS], [CONTINUED, WRONG_END, CONTINUED, CONTINUED], **settings)
    assert len(set(generator.asked[1][0])) == 1
    assert len(generator.asked[1][0]) == 4
    assert (kept.replayed[0].success_rate, kept.replayed[0].reason) == (0.75, "kept")  # 3/4 > 1/2 + 1/5
    assert len(kept.rows) == 1
    lost, _ = learn([MIXED], [ANALYSIS], [CONTINUED, WRONG_END, WRONG_END, CONTINUED], **settings)
    assert (lost.replayed[0].success_rate, lost.replayed[0].reason) == (0.5, "no_uplift")
    assert lost.rows == ()


def test_attempts_go_to_the_candidates_they_belong_to() -> None:
    # The first candidate is unreadable: the replays that follow are those of the second and third.
    groups = [MIXED, other_group(), MIXED]
    outcome, _ = learn(
        groups, ["", OTHER_M, ANALYSIS], ["2) eats minus 2 = 39 answer 39", WRONG_END], pairs_per_group=1
    )
    assert [(r.candidate.pair.problem.id, r.reason) for r in outcome.replayed] == [
        ("p", "no_bifurcation"),
        ("q", "kept"),
        ("p", "failed_replay"),
    ]
    assert [row.target_ids for row in outcome.rows] == [ids("2) eats minus 2 = 39")]


def test_a_kept_experience_that_teaches_no_step_is_counted() -> None:
    # The attempt is right, but starts with the answer.
    short = group("1) finds plus 3 = 53 2) sorts minus 5 = 48 answer 48", WRONG_AT_2)
    outcome, _ = learn([short], ["at 3) loses not minus ; rule loses means same"], ["answer 51"])
    assert outcome.counts["failure/failed_replay"] == 1
    rounded = replace(PROBLEM, answer="51")
    outcome, _ = learn([replace(short, problem=rounded)], ["at 3) x ; rule y"], ["answer 51"])
    assert (outcome.counts["kept"], outcome.counts["rows"], outcome.counts["not_learned/no_step"]) == (1, 0, 1)


def test_without_a_filter_every_readable_experience_is_learned_and_none_replayed() -> None:
    outcome, generator = learn([MIXED, MIXED], [ANALYSIS, ""], [], **PAPER, filter="none")
    assert generator.asked[1][0] == ()
    assert [r.reason for r in outcome.replayed] == ["kept", "no_bifurcation"]
    assert [row.target_ids for row in outcome.rows] == [ended(ANALYSIS)]
    assert (outcome.counts["replayed"], outcome.counts["kept"]) == (0, 1)


def test_without_a_filter_a_rejected_leak_stays_rejected() -> None:
    outcome, _ = learn([MIXED], [LEAK], [], **PAPER, filter="none", guard="reject")
    assert (outcome.rows, outcome.replayed[0].reason) == ((), "states_answer")


def test_shuffled_candidates_are_replayed_with_each_others_experience() -> None:
    outcome, generator = learn(
        [MIXED, other_group()],
        [ANALYSIS, OTHER_M],
        [CONTINUED, "2) eats plus 2 = 43 answer 43"],
        pairs_per_group=1,
        filter="shuffled",
    )
    assert generator.asked[1][0] == (
        ids(f"<user> {PROBLEM.text} note {OTHER_M} <assistant> {PREFIX}"),
        ids(f"<user> {OTHER.text} note {M_AT_2} <assistant> 1) buys plus 1 = 41"),
    )
    assert [r.reason for r in outcome.replayed] == ["kept", "failed_replay"]
    assert [row.target_ids for row in outcome.rows] == [ids("2) sorts same 2 = 53")]


def test_a_shuffled_candidate_without_another_problem_is_not_replayed() -> None:
    outcome, _ = learn([MIXED], [ANALYSIS], [], filter="shuffled")
    assert (outcome.rows, outcome.counts["failure/no_other_problem"]) == ((), 1)


def test_drive_and_adrive_give_the_same_outcome() -> None:
    calls = {"construct": [ANALYSIS, OTHER_M], "replay": [CONTINUED, "2) eats minus 2 = 39 answer 39"]}

    async def answer(request: Request) -> Sequence[Completion] | Sequence[Verdict]:
        await asyncio.sleep(0)
        if isinstance(request, Generate):
            return Canned([list(calls[request.phase])]).generate(request.prompts, request.sampling)
        return TASK.verify(request.problems, request.responses)

    groups = [MIXED, other_group()]
    outcome, _ = learn(groups, list(calls["construct"]), list(calls["replay"]))
    assert asyncio.run(adrive(learner().learn(groups, step=1), answer)) == outcome
    assert len(outcome.rows) == 2


def wrongs_paired(seed: int, step: int) -> list[int]:
    groups = [
        replace(group(RIGHT, *[WRONG_AT_1, WRONG_AT_2] * 3), problem=replace(PROBLEM, id=f"p{i}")) for i in range(6)
    ]
    generator = Canned([[""] * 6, []])
    method = learner(replace(AT, seed=seed), pairs_per_group=1)
    outcome = drive(method.learn(groups, step=step), generator, TASK)
    return [r.candidate.pair.wrong_index for r in outcome.replayed]


def test_pairs_depend_on_seed_step_and_problem_and_on_nothing_else() -> None:
    assert wrongs_paired(0, 1) == wrongs_paired(0, 1)
    assert wrongs_paired(0, 1) != wrongs_paired(0, 2)
    assert wrongs_paired(0, 1) != wrongs_paired(1, 1)
    assert len(set(wrongs_paired(0, 1))) > 1


def test_without_an_inspector_nothing_is_said_about_truth() -> None:
    outcome = drive(
        learner(replace(AT, inspector=None)).learn([MIXED], step=1), Canned([[ANALYSIS], [CONTINUED]]), TASK
    )
    assert not {"locatable", "rules", "kept_rules"} & set(outcome.counts)


def test_a_wrong_blame_and_a_false_rule_are_counted_as_such() -> None:
    outcome, _ = learn([MIXED], ["at 1) finds not plus ; rule sorts means plus"], [f"{PREFIX} {WRONG_END}"])
    assert (outcome.counts["locatable"], outcome.counts["located"]) == (1, 0)
    assert (outcome.counts["rules"], outcome.counts["rules_true"]) == (1, 0)
