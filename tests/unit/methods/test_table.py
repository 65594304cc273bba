"""What holds for every auxiliary of the table, alone and beside all the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import pytest
from stories import (
    ANALYSIS,
    CONTINUED,
    OTHER,
    PROBLEM,
    PROMPTS,
    RIGHT,
    TASK,
    WRONG_AT_1,
    WRONG_AT_2,
    completion,
    group,
    words,
)

from mel.methods import (
    AUXILIARIES,
    CARRIERS,
    CREDITS,
    Assumptions,
    AuxiliarySettings,
    Limits,
    Surroundings,
    build,
    credit_settings,
    drive,
)
from mel.methods.declaration import Settings
from mel.prompts.ask import PlainAsk, conversation
from mel.requests import Score
from mel.step import Accounting, Alone, Rolled, learn
from mel.types import Completion, Sampling, TokenIds

AT = Surroundings(
    tokenizer=words(),
    prompts=PROMPTS,
    steps=TASK.steps,
    rollout_max_tokens=44,
    inspector=TASK,
    problems=(PROBLEM, OTHER),
    ask=PlainAsk(prompts=PROMPTS),
)
GROUPS = (
    group(RIGHT, RIGHT, *[WRONG_AT_2] * 3, WRONG_AT_1),
    group(*[WRONG_AT_1] * 6),
    group(*[RIGHT] * 6),
)


class Engine:
    """Writes an analysis, a right attempt and a continuation in turn; finds each target less likely than the last."""

    def __init__(self) -> None:
        self._count = 0
        self.read: list[TokenIds] = []

    def generate(self, prompts: Sequence[TokenIds], sampling: Sampling) -> list[Completion]:
        self._count += 1
        self.read += prompts
        texts = (ANALYSIS, RIGHT, CONTINUED)
        return [completion(texts[(self._count + i) % 3]) for i in range(len(prompts))]

    def score(self, request: Score) -> list[tuple[float, ...]]:
        self.read += request.contexts
        return [(-1.0 - i,) * len(target) for i, target in enumerate(request.targets)]


@pytest.mark.parametrize("name", AUXILIARIES)
def test_a_plan_costs_the_phases_that_are_declared_and_no_others(name: str) -> None:
    settings = AUXILIARIES[name]()
    needs = settings.needs(Limits(prompt=100, instruction=50, completion=1000))
    cost = settings.expected(Assumptions())
    assert set(cost.generated) == set(cost.sequences) == set(settings.phases)
    assert all(count > 0 for count in (*cost.generated.values(), *cost.sequences.values()))
    assert (needs.row is not None) == (cost.rows > 0)
    assert all(phase.knob.removeprefix("settings.") in type(settings).model_fields for phase in needs.phases)


@pytest.mark.parametrize("name", AUXILIARIES)
def test_every_count_is_a_number_and_rates_are_made_of_counts(name: str) -> None:
    auxiliary = AUXILIARIES[name]().build(AT)
    outcome = drive(auxiliary.learn(GROUPS, step=1), engine := Engine(), TASK, engine)
    assert all(isinstance(value, int | float) for value in outcome.counts.values())
    rates = AUXILIARIES[name].rates_of(outcome.counts)
    assert rates
    assert all(0 <= rate <= 1.5 for rate in rates.values())  # a budget may be overspent a little


@pytest.mark.parametrize("settings", [*AUXILIARIES.values(), *CARRIERS.values(), *CREDITS.values()])
def test_what_a_field_belongs_to_is_a_field_with_those_choices(settings: type[Settings]) -> None:
    for name, (other, values) in settings.belongs_to.items():
        assert name in settings.model_fields
        assert set(values) < set(get_args(settings.model_fields[other].annotation))


OPENING = ({"role": "user", "content": "loses"}, {"role": "assistant", "content": "minus"})
OPENED = tuple(
    replace(g, opening=OPENING, prompt_ids=AT.tokenizer.chat(conversation(OPENING, PROMPTS.solve(g.problem.text))))
    for g in GROUPS
)
"""The groups as they would be if every rollout had begun with a solved example."""


@pytest.mark.parametrize(
    "settings",
    [
        *(AUXILIARIES[name](**({"draw": "same"} if name == "dynamic_sampling" else {})) for name in AUXILIARIES),
        AUXILIARIES["meta_experience"](localizer="likelihood"),
        AUXILIARIES["suffix_reset"](localizer="critique"),
        credit_settings("contrast"),
    ],
    ids=lambda settings: f"{settings.name}-{getattr(settings, 'localizer', '')}",
)
def test_whatever_is_asked_begins_with_the_turns_that_the_rollouts_began_with(settings: Any) -> None:
    engine, part = Engine(), settings.build(AT)
    if isinstance(settings, AuxiliarySettings):
        drive(part.learn(OPENED, step=1), engine, TASK, engine)
    else:
        drive(part.assign(OPENED, [[0.5] * 6] * 3, {}), engine, TASK, engine)
    assert engine.read
    begins = {AT.tokenizer.decode(context[:4]) for context in engine.read}
    assert begins == {AT.tokenizer.decode(OPENED[0].prompt_ids[:4])}


@pytest.mark.parametrize("credit", ["outcome", "first_error"])
@pytest.mark.parametrize("carrier", CARRIERS)
def test_all_at_once_go_with_every_carrier_and_with_credit_per_token(carrier: str, credit: str) -> None:
    method = build(at=AT, carrier=carrier, credit=credit, auxiliaries=[settings() for settings in AUXILIARIES.values()])
    rolled = Rolled(
        groups=GROUPS,
        rewards=tuple(tuple(r.reward for r in g.rollouts) for g in GROUPS),
        advantages=(0.0,) * 18,
    )
    engine = Engine()
    learned = learn(
        method,
        rolled,
        step=1,
        answer=lambda requests: drive(requests, engine, TASK, engine),
        ranks=Alone(),
        accounting=Accounting(),
    )
    assert learned.advantages is not None
    assert len(learned.advantages) == 18
    terms = {row.term for row in learned.rows}
    assert {"policy", "distill"} <= terms
    assert learned.share.rollouts > learned.share.host_rollouts == 18
    assert all(len(row.advantages) == len(row.target_ids) for row in learned.rows if row.term == "policy")
