"""More rollouts for a budget of tokens, with completions written by hand; every attempt of the stories is 21 tokens."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from stories import PROMPTS, RIGHT, TASK, WRONG_AT_1, WRONG_AT_2, Canned, ended, group, words

from mel.methods import AUXILIARIES, Assumptions, Limits, Surroundings, drive
from mel.types import Completion, Group, Outcome, Sampling, TokenIds

AT = Surroundings(tokenizer=words(), prompts=PROMPTS, steps=TASK.steps, rollout_max_tokens=44, rollout_temperature=0.7)
MIXED = group(RIGHT, WRONG_AT_2)


def learn(groups: Sequence[Group], calls: list[list[str | None]], **settings: float) -> tuple[Outcome, Canned]:
    generator = Canned(calls)
    auxiliary = AUXILIARIES["extra_rollouts"](**settings).build(AT)
    return drive(auxiliary.learn(groups, step=1), generator, TASK), generator


def test_twice_the_tokens_are_two_more_rollouts_of_the_same_length() -> None:
    # 42 tokens of budget: the first round asks for 0.8 x 2 rollouts, that is one; the second for the other.
    outcome, generator = learn([MIXED], [[WRONG_AT_1], [RIGHT]], tokens=2.0)
    assert outcome.groups is not None
    (changed,) = outcome.groups
    assert changed.rollouts[:2] == MIXED.rollouts
    assert [r.token_ids for r in changed.rollouts[2:]] == [ended(WRONG_AT_1), ended(RIGHT)]
    assert [(r.reward, r.context_ids, r.hint) for r in changed.rollouts[2:]] == [
        (0.0, None, range(0)), (1.0, None, range(0))
    ]  # fmt: skip
    # Sampled as the host samples: an added rollout is learned at that temperature.
    assert generator.asked == [((MIXED.prompt_ids,), Sampling(max_tokens=44, temperature=0.7))] * 2
    assert outcome.counts == {
        "rollouts": 2, "tokens_given": 42, "added": 2, "right": 1, "tokens_added": 42, "budget": 42.0
    }  # fmt: skip


def test_what_a_short_round_leaves_is_asked_for_in_the_next() -> None:
    # `1) finds` is 2 tokens: of 44.1 are 42.1 left, which pay for 2.005 rollouts.
    outcome, _ = learn([MIXED], [[None], [RIGHT, RIGHT]], tokens=2.05)
    assert outcome.counts["tokens_added"] == 2 + 42
    assert outcome.groups is not None
    assert [r.is_truncated for r in outcome.groups[0].rollouts[2:]] == [True, False, False]


def test_groups_get_more_in_turn() -> None:
    # 63 tokens of budget for two groups: two rollouts in the first round, one in the second.
    groups = [MIXED, group(WRONG_AT_1, WRONG_AT_1)]
    outcome, _ = learn(groups, [[RIGHT, RIGHT], [RIGHT]], tokens=1.75)
    assert outcome.groups is not None
    assert sorted(len(g.rollouts) for g in outcome.groups) == [3, 4]


@pytest.mark.parametrize("groups", [[], [group()]])
@pytest.mark.parametrize("rounds", [1, 3])
def test_every_round_is_asked_for_where_there_is_nothing_to_pay_for(groups: list[Group], rounds: int) -> None:
    outcome, generator = learn(groups, [[]] * rounds, rounds=rounds)
    assert [prompts for prompts, _ in generator.asked] == [()] * rounds
    assert outcome.groups == tuple(groups)
    assert outcome.counts["budget"] == 0


def test_a_multiple_of_one_adds_nothing_and_leaves_the_groups_as_they_are() -> None:
    outcome, _ = learn([MIXED], [[], []], tokens=1.0)
    assert outcome.groups is not None
    assert outcome.groups[0] is MIXED


class Uneven:
    """Writes 5 to 37 tokens, 21 on average."""

    def __init__(self) -> None:
        self._rng = random.Random(0)

    def generate(self, prompts: Sequence[TokenIds], sampling: Sampling) -> list[Completion]:
        return [Completion(token_ids=(7,) * self._rng.randint(5, 37), text="") for _ in prompts]


def test_the_budget_is_met_closely_in_a_step_and_exactly_on_average() -> None:
    groups = [group(*[RIGHT] * 8)] * 8
    auxiliary = AUXILIARIES["extra_rollouts"](tokens=1.24).build(AT)
    engine = Uneven()
    found = [drive(auxiliary.learn(groups, step=step), engine, TASK).counts for step in range(1, 201)]
    spent = [counts["tokens_added"] / counts["budget"] for counts in found]
    assert found[0]["budget"] == pytest.approx(0.24 * 64 * 21)
    assert sum(spent) / len(spent) == pytest.approx(1.0, abs=0.01)
    assert max(abs(share - 1) for share in spent) < 0.25  # of the quarter that is added: 5 % of all tokens


def test_a_plan_knows_the_groups_size() -> None:
    settings = AUXILIARIES["extra_rollouts"](tokens=1.5)
    assert settings.expected(Assumptions(rollouts=16, solution_tokens=100)).generated == {"extra": 800}
    (phase,) = settings.needs(Limits(prompt=10, instruction=0, completion=20, rollouts=16)).phases
    assert (phase.tokens, phase.per_group) == (30, 8)
