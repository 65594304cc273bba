"""Critique and refinement of a failure, with texts and log-probabilities written by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from stories import PROBLEM, PROMPTS, RIGHT, TASK, WRONG_AT_1, WRONG_AT_2, Canned, ended, group, ids, words

from mel.methods import AUXILIARIES, Surroundings, drive
from mel.methods.auxiliaries.critique_refine import shaping
from mel.requests import Score
from mel.types import Group, Outcome, Sampling

AT = Surroundings(tokenizer=words(), prompts=PROMPTS, steps=TASK.steps, rollout_max_tokens=44)
MIXED = group(RIGHT, WRONG_AT_2)
NOTE = "rule sorts means same"


@dataclass
class Halves:
    """Gives every token the probability 1/2."""

    asked: list[Score] = field(default_factory=list)

    def score(self, request: Score) -> list[tuple[float, ...]]:
        self.asked.append(request)
        return [(math.log(0.5),) * len(target) for target in request.targets]


def learn(groups: Sequence[Group], *calls: list[str | None], **settings: object) -> tuple[Outcome, Canned, Halves]:
    generator, scorer = Canned(list(calls)), Halves()
    auxiliary = AUXILIARIES["critique_refine"](**settings).build(AT)
    return drive(auxiliary.learn(groups, step=1), generator, TASK, scorer), generator, scorer


def test_a_right_refinement_is_learned_behind_the_question_and_shaped_by_its_probability_there() -> None:
    outcome, generator, scorer = learn([MIXED], [NOTE], [RIGHT])
    (critique, how), (refine, _) = generator.asked
    assert critique == (ids(f"<user> {PROBLEM.text} wrong {WRONG_AT_2} rule <assistant>"),)
    assert how == Sampling(max_tokens=512)
    assert refine == (ids(f"<user> {PROBLEM.text} note {NOTE} <assistant>"),)
    (asked,) = scorer.asked
    assert (asked.contexts, asked.targets) == ((MIXED.prompt_ids,), (ended(RIGHT),))
    assert outcome.groups is not None
    *own, refined = outcome.groups[0].rollouts
    assert tuple(own) == MIXED.rollouts
    assert (refined.token_ids, refined.context_ids, refined.reward) == (ended(RIGHT), None, 1.0)
    # 0.1 x 0.5 / 0.6^2
    assert refined.token_weights == pytest.approx([0.05 / 0.36] * 21)
    assert outcome.counts == {
        "groups": 1, "skipped/no_failure": 0, "refined": 1, "refined_right": 1, "added": 1, "right": 1
    }  # fmt: skip


def test_shaping_is_the_derivative_of_the_shaped_probability() -> None:
    for p in (0.02, 0.1, 0.9):
        h = 1e-6
        slope = ((p + h) / (p + h + 0.1) - (p - h) / (p - h + 0.1)) / (2 * h)
        (weight,) = shaping((math.log(p),), 0.1)
        assert weight == pytest.approx(p * slope, rel=1e-6)
    assert shaping((math.log(0.1),), 0.1) == pytest.approx((0.25,))


def test_a_wrong_refinement_joins_only_where_all_do() -> None:
    outcome, _, scorer = learn([MIXED], [NOTE], [WRONG_AT_1])
    assert (outcome.groups, scorer.asked[0].targets) == ((MIXED,), ())
    assert (outcome.counts["refined"], outcome.counts["refined_right"]) == (1, 0)
    outcome, _, _ = learn([MIXED], [NOTE], [WRONG_AT_1], keep="all")
    assert outcome.groups is not None
    assert [r.reward for r in outcome.groups[0].rollouts] == [1.0, 0.0, 0.0]


def test_behind_its_own_prompt_a_refinement_is_an_ordinary_rollout_and_nothing_is_scored() -> None:
    outcome, generator, scorer = learn([MIXED], [NOTE], [RIGHT], context="refinement")
    assert scorer.asked == []
    assert outcome.groups is not None
    refined = outcome.groups[0].rollouts[-1]
    assert (refined.context_ids, refined.token_weights) == (generator.asked[1][0][0], ())


CUT = replace(MIXED, rollouts=(replace(MIXED.rollouts[1], is_truncated=True),))


@pytest.mark.parametrize("groups", [[], [group()], [group(RIGHT, RIGHT)], [CUT]])
def test_the_same_requests_come_from_groups_without_a_failure_to_mend(groups: list[Group]) -> None:
    outcome, generator, scorer = learn(groups, [], [])
    assert [prompts for prompts, _ in generator.asked] == [(), ()]
    assert [request.targets for request in scorer.asked] == [()]
    assert outcome.groups == tuple(groups)
    assert outcome.counts["skipped/no_failure"] == len(groups)
