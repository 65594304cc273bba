"""Attempts from just before an error, with solutions and continuations written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from stories import (
    ANALYSIS,
    CONTINUED,
    NO_STEPS,
    PROMPTS,
    RIGHT,
    TASK,
    WRONG_AT_1,
    WRONG_AT_2,
    Canned,
    group,
    ids,
    words,
)

from mel.methods import AUXILIARIES, Surroundings, drive
from mel.types import Group, Outcome, Sampling

AT = Surroundings(tokenizer=words(), prompts=PROMPTS, steps=TASK.steps, rollout_max_tokens=44, inspector=TASK)
MIXED = group(RIGHT, WRONG_AT_2)
PREFIX = "1) finds plus 3 = 53"
AGAIN = "2) sorts minus 2 = 51 3) loses minus 5 = 46 answer 46"


def learn(
    groups: Sequence[Group], *calls: list[str | None], at: Surroundings = AT, **settings: object
) -> tuple[Outcome, Canned]:
    generator = Canned(list(calls))
    auxiliary = AUXILIARIES["suffix_reset"](**settings).build(at)
    return drive(auxiliary.learn(groups, step=1), generator, TASK), generator


def test_attempts_from_before_the_first_difference_are_a_group_of_their_own() -> None:
    outcome, generator = learn([MIXED], [CONTINUED, AGAIN], samples=2)
    assert generator.asked == [((MIXED.prompt_ids + ids(PREFIX),) * 2, Sampling(max_tokens=44))]
    assert outcome.groups is not None
    same, own = outcome.groups
    assert same is MIXED
    assert (own.problem, own.prompt_ids) == (MIXED.problem, MIXED.prompt_ids)
    assert [(r.text, r.reward, r.hint) for r in own.rollouts] == [
        (f"{PREFIX} {CONTINUED}", 1.0, range(6)),
        (f"{PREFIX} {AGAIN}", 0.0, range(6)),
    ]
    assert outcome.counts == {
        **{"groups": 1, "resets": 1, "attempts": 2, "right": 1, "locatable": 1, "located": 1},
        **{"skipped/not_located": 0, "skipped/uniform": 0},
    }


def test_attempts_that_agree_teach_nothing_and_are_left_out() -> None:
    outcome, _ = learn([MIXED], [CONTINUED, CONTINUED], samples=2)
    assert (outcome.groups, outcome.counts["skipped/uniform"]) == ((MIXED,), 1)


def test_the_policy_locates_where_it_is_asked_to() -> None:
    outcome, generator = learn([MIXED], [ANALYSIS], [CONTINUED, AGAIN], samples=2, localizer="critique")
    (construct, how), (reset, _) = generator.asked
    assert construct[0][-1:] == ids("<assistant>")
    assert how == Sampling(max_tokens=1024, temperature=0.0)
    assert reset == (MIXED.prompt_ids + ids(PREFIX),) * 2
    assert outcome.counts["located"] == 1
    assert AUXILIARIES["suffix_reset"](localizer="critique").phases == ("locate", "reset")


@pytest.mark.parametrize("answer", ["no step", "at 9) sorts not minus rule sorts means same"])
def test_an_answer_without_a_step_of_the_solution_resets_nothing(answer: str) -> None:
    outcome, generator = learn([MIXED], [answer], [], localizer="critique")
    assert generator.asked[1][0] == ()
    assert (outcome.groups, outcome.counts["skipped/not_located"]) == ((MIXED,), 1)


@pytest.mark.parametrize("localizer", ["first_difference", "critique", "random", "oracle"])
@pytest.mark.parametrize(
    "groups", [[], [group()], [group(RIGHT, RIGHT)], [group(WRONG_AT_1, WRONG_AT_2)], [group(RIGHT, NO_STEPS)]]
)
def test_the_same_requests_come_from_groups_without_a_pair(groups: list[Group], localizer: str) -> None:
    calls = [[], []] if localizer == "critique" else [[]]
    outcome, generator = learn(groups, *calls, localizer=localizer)
    assert len(generator.asked) == len(calls)
    assert outcome.groups == tuple(groups)


def test_hinted_rollouts_are_not_reset() -> None:
    hinted = replace(MIXED, rollouts=(MIXED.rollouts[0], replace(MIXED.rollouts[1], hint=range(3))))
    outcome, _ = learn([hinted], [])
    assert outcome.counts["skipped/group_not_mixed"] == 1


def test_an_oracle_is_refused_where_the_task_knows_no_true_step() -> None:
    with pytest.raises(ValueError, match=r"suffix_reset.localizer: 'oracle' asks the task .* use first_difference"):
        learn([], localizer="oracle", at=replace(AT, inspector=None))
    settings = AUXILIARIES["suffix_reset"](localizer="oracle")
    settings.check(rollouts=8, problems=(), inspector=TASK)
    with pytest.raises(ValueError, match="'oracle' asks the task"):
        settings.check(rollouts=8, problems=(), inspector=None)
