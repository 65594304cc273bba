"""Settings of the auxiliary: what is offered, and what is refused with which words."""

import pytest

from mel.methods import PAPER, Limits, MetaExperienceSettings
from mel.stages.internalize import ALLOWED


def test_the_defaults_are_bifurcation_replay() -> None:
    s = MetaExperienceSettings()
    assert (s.pairs_per_group, s.construct_temperature, s.replay_from, s.replay_samples) == (2, 0.0, "bifurcation", 1)
    assert (s.accept, s.target, s.context, s.filter, s.guard) == ("right", "step", "prefix", "replay", "count")


def test_the_papers_point_is_valid() -> None:
    s = MetaExperienceSettings(**PAPER)
    assert (s.pairs_per_group, s.construct_temperature, s.replay_temperature, s.replay_from) == (1, 1.0, 1.0, "start")
    assert (s.accept, s.replay_samples, s.target, s.context) == ("right", 1, "experience", "retrospective")


@pytest.mark.parametrize(("target", "context"), [(t, c) for t, contexts in ALLOWED.items() for c in contexts])
def test_every_allowed_target_and_context_can_be_asked_for(target: str, context: str) -> None:
    assert MetaExperienceSettings(target=target, context=context).context == context


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"choose": "best"}, "choose: expected one of random, closest, closest_distinct, shortest_longest, got 'best'"),
        ({"long_pairs": "keep"}, r"long_pairs: expected one of drop, cut, got 'keep'"),
        ({"guard": "off"}, r"guard: expected one of count, reject, got 'off'"),
        ({"replay_from": "end"}, r"replay_from: expected one of start, bifurcation, got 'end'"),
        ({"accept": "any"}, r"accept: expected one of right, uplift, all, got 'any'"),
        ({"filter": "off"}, r"filter: expected one of replay, none, shuffled, no_note, got 'off'"),
        ({"target": "m"}, r"target: expected one of experience, heuristic, heuristic\+critique, .*, got 'm'"),
        ({"context": "all"}, r"context: expected one of retrospective, question, both, prefix, got 'all'"),
        ({"pairs_per_group": 0}, "pairs_per_group: expected a whole number of at least 1, got 0"),
        ({"pairs_per_group": "2"}, "pairs_per_group: expected a whole number of at least 1, got '2'"),
        ({"pairs_per_group": 1.5}, r"pairs_per_group: expected a whole number of at least 1, got 1\.5"),
        ({"pairs_per_group": True}, "pairs_per_group: expected a whole number of at least 1, got true"),
        ({"construct_max_tokens": 0}, "construct_max_tokens: expected a whole number of at least 1, got 0"),
        ({"construct_temperature": -1}, "construct_temperature: expected a number of at least 0, got -1"),
        ({"construct_temperature": float("nan")}, "construct_temperature: expected a number of at least 0, got nan"),
        ({"max_pair_tokens": 0}, "max_pair_tokens: expected a whole number of at least 1 or null, got 0"),
        ({"replay_samples": 0}, "replay_samples: expected a whole number of at least 1, got 0"),
        ({"replay_samples": None}, "replay_samples: expected a whole number of at least 1, got null"),
        ({"replay_max_tokens": -3}, "replay_max_tokens: expected a whole number of at least 1 or null, got -3"),
        ({"replay_temperature": "hot"}, "replay_temperature: expected a number of at least 0, got 'hot'"),
        ({"margin": -0.1}, r"margin: expected a number from 0 to 1, got -0\.1"),
        ({"margin": 1.1}, r"margin: expected a number from 0 to 1, got 1\.1"),
        (
            {"margin": 0.2},
            r"margin belongs to accept 'uplift'; set accept: uplift, or leave margin at 0.0 \(got 'right'\)",
        ),
        ({"localize_rounds": 2}, "localize_rounds belongs to localizer 'monte_carlo'; .*got 'critique'"),
        ({"top_k": 100}, r"top_k belongs to objective 'distill'; .* \(got 'nll'\)"),
        ({"gate_retention": 0.5}, r"gate_retention belongs to gate 'quality'; .* \(got 'open'\)"),
        (
            {"filter": "none", "target": "heuristic", "context": "question", "gate": "quality"},
            "gate 'quality' reads the verdicts of replays, and filter 'none' makes none",
        ),
        ({"context": "question"}, "target 'step' is trained in context prefix; got context 'question'"),
        (
            {"target": "experience"},
            "target 'experience' is trained in context retrospective or question or both; got context 'prefix'",
        ),
        (
            {"target": "solution", "context": "retrospective"},
            "target 'solution' is trained in context question or prefix; got context 'retrospective'",
        ),
        (
            {"replay_from": "start"},
            r"context 'prefix' continues y- before s\*; set replay_from: bifurcation \(got 'start'\)",
        ),
        (
            {"filter": "none"},
            "filter 'none' makes no replay, and target 'step' is taken from one; train the experience",
        ),
        (
            {"filter": "none", "target": "solution", "context": "question"},
            "filter 'none' makes no replay, and target 'solution' is taken from one",
        ),
        ({"construct_calls": 2}, r"construct_calls: expected one of 1, 3, got 2"),
        ({"construct_from": "right"}, r"construct_from: expected one of pair, wrong, got 'right'"),
        ({"replay_on": "sibling"}, "replay_on 'sibling' solves another problem, .*; set replay_from: start"),
        ({"objective": "dpo"}, r"objective: expected one of nll, policy_gradient, distill, got 'dpo'"),
        (
            {"objective": "policy_gradient"},
            "set target: experience and context: retrospective .got 'step' and 'prefix'",
        ),
        (PAPER | {"objective": "policy_gradient", "construct_temperature": 0.0}, "construct_temperature above 0"),
        (
            PAPER | {"objective": "policy_gradient", "gather": 2},
            r"in the step that sampled it; set gather: 1 \(got 2\)",
        ),
        (PAPER | {"objective": "policy_gradient", "construct_calls": 3}, "and construct_calls 1; got 1.0 and 3"),
        (
            PAPER | {"objective": "policy_gradient", "filter": "none"},
            "rates M by its replay, and filter 'none' makes none",
        ),
        (PAPER | {"objective": "distill"}, "set target: step or solution .got 'experience'"),
        ({"objective": "distill", "filter": "no_note"}, "'distill' needs a teacher with a note"),
        ({"gate": "on"}, r"gate: expected one of open, quality, got 'on'"),
        ({"gate_decay": 1.0}, "gate_decay: expected a number"),
        ({"top_k": 0}, "top_k: expected a whole number of at least 1 or null, got 0"),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        MetaExperienceSettings(**changes)  # type: ignore[arg-type]
    assert str(error.value).startswith("meta_experience")


def test_gathering_multiplies_the_sequences_of_a_call_and_not_the_rows_of_a_step() -> None:
    limits = Limits(prompt=9, instruction=9, completion=9)
    needs = MetaExperienceSettings(gather=4, pairs_per_group=2, replay_samples=3).needs(limits)
    assert needs.row is not None
    assert ([phase.per_group for phase in needs.phases], needs.row.per_group) == ([8, 24], 2)


def test_limits_may_be_left_open_and_temperatures_be_whole_numbers() -> None:
    s = MetaExperienceSettings(max_pair_tokens=None, replay_max_tokens=None, replay_temperature=1, margin=0)
    assert s.max_pair_tokens is s.replay_max_tokens is None
