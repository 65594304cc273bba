"""Dynamic sampling with canned completions: which groups are sampled again, what of, and what it counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from stories import OTHER, PROBLEM, PROMPTS, RIGHT, TASK, WRONG_AT_1, WRONG_AT_2, group, words

from mel.methods import (
    Assumptions,
    Limits,
    MetaExperienceSettings,
    Surroundings,
    build,
    carrier_settings,
    check_slots,
    credit_settings,
)
from mel.methods.auxiliaries.dynamic_sampling import DynamicSamplingSettings
from mel.methods.drive import drive
from mel.prompts.ask import PlainAsk, ask_about
from mel.types import Completion, Group, Outcome, Sampling, TokenIds

OTHER_RIGHT = "1) buys plus 1 = 41 2) eats minus 2 = 39 answer 39"
AT = Surroundings(
    tokenizer=words(),
    prompts=PROMPTS,
    steps=TASK.steps,
    rollout_max_tokens=44,
    rollout_temperature=0.8,
    rollout_top_p=0.9,
    problems=(PROBLEM, OTHER),
    ask=PlainAsk(prompts=PROMPTS),
)
MIXED, WRONG = group(RIGHT, WRONG_AT_1), group(WRONG_AT_1, WRONG_AT_2)
SAME = DynamicSamplingSettings(draw="same", rounds=2)


@dataclass
class Engine:
    """Answers each call with the texts given for it."""

    calls: Sequence[Sequence[str]]
    asked: list[tuple[tuple[TokenIds, ...], Sampling]] = field(default_factory=list)

    def generate(self, prompts: Sequence[TokenIds], sampling: Sampling) -> list[Completion]:
        texts = self.calls[len(self.asked)]
        self.asked.append((tuple(prompts), sampling))
        assert len(texts) == len(prompts)
        return [Completion(token_ids=words().encode(text), text=text) for text in texts]


def learned(
    settings: DynamicSamplingSettings, groups: Sequence[Group], *calls: Sequence[str]
) -> tuple[Outcome, Engine]:
    engine = Engine(calls)
    (auxiliary,) = build(at=AT, auxiliaries=[settings]).auxiliaries
    return drive(auxiliary.learn(groups, step=3), engine, TASK), engine


def test_a_uniform_group_is_sampled_again_until_it_is_mixed_and_a_mixed_one_is_left_alone() -> None:
    found, engine = learned(SAME, [MIXED, WRONG], [WRONG_AT_1, WRONG_AT_2], [WRONG_AT_2, RIGHT])
    assert found.groups is not None
    assert found.groups[0] is MIXED
    assert [r.text for r in found.groups[1].rollouts] == [WRONG_AT_2, RIGHT]
    assert [r.reward for r in found.groups[1].rollouts] == [0.0, 1.0]
    assert engine.asked == [((WRONG.prompt_ids,) * 2, Sampling(max_tokens=44, temperature=0.8, top_p=0.9))] * 2
    assert found.counts == {"uniform": 1, "tried": 2, "filled": 1}
    assert DynamicSamplingSettings.rates_of(found.counts) == {"filled_share": 1.0}


def test_a_group_that_no_round_fills_stays_as_it_was() -> None:
    found, _ = learned(SAME, [WRONG], [WRONG_AT_2] * 2, [RIGHT] * 2)
    assert found.groups == (WRONG,)
    assert found.groups[0] is WRONG
    assert found.counts == {"uniform": 1, "tried": 2, "filled": 0}


@pytest.mark.parametrize("groups", [[], [MIXED], [MIXED, MIXED]])
def test_every_round_asks_for_nothing_where_no_group_is_uniform(groups: list[Group]) -> None:
    # Ranks wait for each other: one without a uniform group makes the same calls.
    found, engine = learned(SAME, groups, [], [])
    assert found.groups == tuple(groups)
    assert [prompts for prompts, _ in engine.asked] == [(), ()]


def test_the_verdict_decides_and_not_a_shaped_reward() -> None:
    shaped = [replace(r, reward=r.reward - 0.1 * i) for i, r in enumerate(WRONG.rollouts)]
    found, _ = learned(SAME, [replace(WRONG, rollouts=tuple(shaped))], [RIGHT, WRONG_AT_1], [])
    assert found.counts["uniform"] == 1
    paid_alike = replace(MIXED, rollouts=tuple(replace(r, reward=0.5) for r in MIXED.rollouts))
    assert learned(SAME, [paid_alike], [], [])[0].counts["uniform"] == 0


def test_another_problem_of_the_training_set_takes_the_place_of_a_uniform_group() -> None:
    settings = DynamicSamplingSettings(rounds=1)
    found, engine = learned(settings, [WRONG], [OTHER_RIGHT, WRONG_AT_1])
    assert found.groups is not None
    (new,) = found.groups
    assert new.problem == OTHER
    assert new.prompt_ids == engine.asked[0][0][0] == words().chat(PlainAsk(prompts=PROMPTS)(OTHER))
    assert [r.verdict.is_correct for r in new.rollouts] == [True, False]


def test_no_problem_is_drawn_twice_and_the_same_one_serves_where_all_are_used() -> None:
    second = replace(WRONG, problem=OTHER)
    found, engine = learned(DynamicSamplingSettings(rounds=1), [WRONG, second], [RIGHT, WRONG_AT_1, *[WRONG_AT_1] * 2])
    assert [g.problem for g in found.groups or ()] == [PROBLEM, OTHER]
    assert engine.asked[0][0] == (WRONG.prompt_ids,) * 4


@pytest.mark.parametrize(("draw", "right"), [("problems", OTHER_RIGHT), ("same", RIGHT)])
def test_what_is_asked_later_about_a_refilled_group_begins_with_the_turns_of_its_rollouts(
    draw: Any, right: str
) -> None:
    opening = ({"role": "user", "content": "start 40"}, {"role": "assistant", "content": "answer 40"})
    ask = PlainAsk(prompts=PROMPTS, opening=opening)
    asked_so = replace(WRONG, prompt_ids=words().chat(ask(PROBLEM)), opening=opening)
    settings = DynamicSamplingSettings(rounds=1, draw=draw)
    (auxiliary,) = build(at=replace(AT, ask=ask), auxiliaries=[settings]).auxiliaries
    found = drive(auxiliary.learn([asked_so], step=3), Engine([[right, WRONG_AT_1]]), TASK).groups
    assert found is not None
    assert found[0] is not asked_so
    assert found[0].opening == opening
    turn = PROMPTS.solve(found[0].problem.text)
    assert ask_about(found[0], turn, words()) == found[0].prompt_ids


def test_a_refill_needs_the_training_set_or_the_same_problem() -> None:
    bare = replace(AT, problems=(), ask=None)
    with pytest.raises(ValueError, match=r"dynamic_sampling.draw: expected the training set .* set draw to 'same'"):
        build(at=bare, auxiliaries=[DynamicSamplingSettings()])
    build(at=bare, auxiliaries=[SAME])


def test_it_stands_before_what_learns_from_its_groups() -> None:
    with pytest.raises(ValueError, match="'dynamic_sampling': expected it as the first one, got it behind 'meta_exp"):
        check_slots(
            carrier_settings("grpo"), credit_settings("outcome"), [MetaExperienceSettings(), DynamicSamplingSettings()]
        )
    check_slots(
        carrier_settings("grpo"), credit_settings("outcome"), [DynamicSamplingSettings(), MetaExperienceSettings()]
    )


def test_a_plan_counts_a_round_for_every_group_that_is_still_uniform() -> None:
    settings = DynamicSamplingSettings(rounds=2)
    at = Assumptions(mixed_share=0.75, solution_tokens=100.0, prompt_tokens=10.0, rollouts=4)
    found = settings.expected(at)
    # A quarter of the groups, then a sixteenth: 4 * 5/16 rollouts; filled are 4 * (1/4 - 1/64).
    assert (found.generated, found.read) == ({"refill": 125.0}, 12.5)
    assert (found.rows, found.row_tokens, found.row_context) == (0.9375, 93.75, 9.375)
    needs = settings.needs(Limits(prompt=10, instruction=0, completion=44, rollouts=4))
    assert [(phase.phase, phase.tokens, phase.per_group) for phase in needs.phases] == [("refill", 54, 4)]
