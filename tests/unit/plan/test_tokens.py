"""Tokens per step by phase, worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mel.config import Recipe
from mel.plan import Assumptions
from mel.plan.batch import Batch
from mel.plan.tokens import Tokens, tokens_per_step

BATCH = Batch(processes=8, group_size=8, micro=8, slots=16, accumulation=16)
AT = Assumptions(
    prompt_tokens=100,
    solution_tokens=1000,
    experience_tokens=500,
    mixed_share=0.5,
    parsed_share=0.75,
    kept_share=0.5,
    prefix_share=0.4,
    steps=10,
)
PAPER = {"pairs_per_group": 1, "replay_from": "start", "target": "experience", "context": "retrospective"}


def of(recipe: Recipe, batch: Batch = BATCH) -> Tokens:
    return tokens_per_step(recipe, batch, AT)


def mel(**settings: Any) -> list[dict[str, Any]]:
    return [{"name": "meta_experience", "settings": settings}]


def test_the_paper_samples_a_tenth_more(recipe: Callable[..., Recipe]) -> None:
    t = of(recipe(auxiliaries=mel(**PAPER)))
    # 128 problems, 64 mixed, 64 pairs, 48 parsed and replayed, 24 kept
    assert t.generated == {"rollout": 1_024_000, "construct": 64 * 500, "replay": 48 * 1000}
    assert (t.rows, t.row_context) == (24 * 500, 24 * (100 + 2 * 1000))
    assert t.sequences == {"rollout": 1024, "construct": 64, "replay": 48}
    assert t.read == 64 * 2100 + 48 * 600
    assert t.generated_ratio == pytest.approx(1 + 80_000 / 1_024_000)
    assert t.trained_ratio == pytest.approx(1 + 62_400 / (1_024_000 + 102_400))


def test_bifurcation_replay_continues_and_trains_one_step(recipe: Callable[..., Recipe]) -> None:
    t = of(recipe(auxiliaries=mel(pairs_per_group=2)))
    # 128 pairs, 96 replays of the 600 tokens after the prefix, 48 rows of one step of 100 after 100 + 400
    assert (t.generated["construct"], t.generated["replay"]) == (64_000, 96 * 600)
    assert (t.rows, t.row_context) == (48 * 100, 48 * 500)


def test_several_replays_and_a_shorter_limit_count(recipe: Callable[..., Recipe]) -> None:
    t = of(recipe(auxiliaries=mel(**PAPER, replay_samples=4, replay_max_tokens=300)))
    assert t.generated["replay"] == 48 * 4 * 300


def test_monte_carlo_localization_is_planned_as_a_phase_of_its_own(recipe: Callable[..., Recipe]) -> None:
    t = of(recipe(auxiliaries=mel(**PAPER, localizer="monte_carlo", localize_samples=2, localize_rounds=9)))
    # 64 pairs, four rounds for 10 steps, two continuations of half a solution each, from half a solution
    assert (t.sequences["localize"], t.generated["localize"]) == (512, 512 * 500)
    assert t.read == 512 * 600 + 64 * 2100 + 48 * 600


def test_without_replay_every_parsed_candidate_is_learned(recipe: Callable[..., Recipe]) -> None:
    t = of(recipe(auxiliaries=mel(**PAPER, filter="none")))
    assert (t.generated["replay"], t.row_count) == (0.0, 48.0)


def test_grpo_alone_costs_what_it_costs(recipe: Callable[..., Recipe]) -> None:
    t = of(recipe())
    assert (t.generated_ratio, t.trained_ratio, t.rows) == (1.0, 1.0, 0.0)
    assert set(t.generated) == {"rollout"}


def test_two_passes_over_a_batch_sample_half_per_step_and_train_as_much(recipe: Callable[..., Recipe]) -> None:
    twice = Batch(processes=8, group_size=8, micro=8, slots=16, accumulation=16, iterations=2)
    t = of(recipe(auxiliaries=mel(**PAPER)), twice)
    assert (t.generated["rollout"], t.policy, t.generated["construct"], t.row_count) == (
        512_000,
        1_024_000,
        16_000,
        24.0,
    )


@pytest.mark.parametrize(("name", "value"), [("mixed_share", 1.5), ("solution_tokens", 0.0)])
def test_an_impossible_assumption_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        Assumptions(**{name: value})
