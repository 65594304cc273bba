"""Hinted rollouts, with attempts and continuations written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from stories import NO_STEPS, PROMPTS, RIGHT, TASK, WRONG_AT_1, WRONG_AT_2, Canned, ended, group, ids, words

from mel.methods import AUXILIARIES, Surroundings, drive
from mel.types import Group, Outcome

AT = Surroundings(tokenizer=words(), prompts=PROMPTS, steps=TASK.steps, rollout_max_tokens=44)
FIRST, SECOND = "1) finds plus 3 = 53", "2) sorts same 2 = 53"
MIXED = group(RIGHT, WRONG_AT_2)


def learn(groups: Sequence[Group], *written: str | None, **settings: object) -> tuple[Outcome, Canned]:
    generator = Canned([list(written)])
    auxiliary = AUXILIARIES["step_hint"](**{"rollouts": 1, **settings}).build(AT)
    return drive(auxiliary.learn(groups, step=1), generator, TASK), generator


def test_one_and_two_of_three_steps_are_given_and_the_rest_is_sampled_and_judged_as_a_whole() -> None:
    outcome, generator = learn([MIXED], f"{SECOND} 3) loses minus 5 = 48 answer 48", "3) loses plus 5 = 58 answer 58")
    prompt, one, two = MIXED.prompt_ids, ids(FIRST), ids(f"{FIRST} {SECOND}")
    assert generator.asked[0][0] == (prompt + one, prompt + two)
    assert outcome.groups is not None
    *own, short, long = outcome.groups[0].rollouts
    assert tuple(own) == MIXED.rollouts
    assert (short.token_ids, short.hint, short.reward) == (ended(RIGHT), range(6), 1.0)
    assert (long.text, long.hint, long.reward) == (f"{FIRST} {SECOND} 3) loses plus 5 = 58 answer 58", range(12), 0.0)
    assert short.context_ids is long.context_ids is None
    assert outcome.counts == {"groups": 1, "hinted": 1, "added": 2, "right": 1}


def test_levels_that_fall_on_one_step_are_asked_for_once_and_each_is_repeated() -> None:
    # Five levels of three steps: 0.5, 1, 1.5, 2 and 2.5 round to 0, 1, 2, 2 and 2.
    _, generator = learn([MIXED], *[None] * 4, levels=5, rollouts=2)
    assert [len(p) - len(MIXED.prompt_ids) for p in generator.asked[0][0]] == [6, 6, 12, 12]


def test_the_chain_is_the_shortest_right_rollout_that_was_given_nothing() -> None:
    longer = group(f"rule sorts means same {RIGHT}", RIGHT, WRONG_AT_1)
    _, generator = learn([longer], None, levels=1)
    assert generator.asked[0][0] == (longer.prompt_ids + ids(f"{FIRST} {SECOND}"),)
    hinted = replace(longer, rollouts=(replace(longer.rollouts[1], hint=range(3)), longer.rollouts[2]))
    outcome, generator = learn([hinted])
    assert (generator.asked[0][0], outcome.counts["skipped/no_steps"]) == ((), 1)


@pytest.mark.parametrize(
    ("groups", "counted"),
    [
        ([], None),
        ([group()], "skipped/group"),
        ([group(RIGHT, RIGHT)], "skipped/group"),
        ([group(WRONG_AT_1, WRONG_AT_2)], "skipped/group"),
        ([group(RIGHT, NO_STEPS)], None),
    ],
    ids=["no_groups", "empty", "all_right", "all_wrong", "no_steps_in_the_wrong_one"],
)
def test_the_same_request_comes_whatever_the_groups_hold(groups: list[Group], counted: str | None) -> None:
    is_hinted = bool(groups) and counted is None
    outcome, generator = learn(groups, *[None] * (2 * is_hinted))
    assert len(generator.asked) == 1
    assert outcome.groups is not None
    assert all((new is old) != is_hinted for new, old in zip(outcome.groups, groups, strict=True))
    assert counted is None or outcome.counts[counted] == 1


def test_groups_that_are_all_right_are_hinted_where_that_is_asked_for() -> None:
    _, generator = learn([group(RIGHT, RIGHT)], None, None, where="solved")
    assert len(generator.asked[0][0]) == 2
