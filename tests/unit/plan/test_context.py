"""The longest sequences, by hand, against the model's and vLLM's context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mel.config import Recipe, load_recipe
from mel.plan import check_context, longest_rows, longest_sequences, shape_of

SHAPE = shape_of("Qwen3-4B-Base")


def mel(**settings: Any) -> list[dict[str, Any]]:
    return [{"name": "meta_experience", "settings": settings}]


def tokens(recipe: Recipe) -> dict[str, int]:
    return {item.phase: item.tokens for item in longest_sequences(recipe, prompt_tokens=1000, instruction_tokens=500)}


def test_a_construction_prompt_holds_two_whole_solutions_and_a_replay_its_experience_and_prefix(
    recipe: Callable[..., Recipe],
) -> None:
    assert tokens(recipe(auxiliaries=mel(construct_max_tokens=800))) == {
        "rollout": 1000 + 4096,
        "construct": 1000 + 500 + 2 * 4096 + 800,
        "replay": 1000 + 500 + 800 + 4096 + 4096,
    }


def test_the_papers_replay_has_no_prefix_and_its_row_is_the_pair(recipe: Callable[..., Recipe]) -> None:
    paper = mel(replay_from="start", target="experience", context="retrospective", max_pair_tokens=6000)
    r = recipe(auxiliaries=paper)
    assert tokens(r)["replay"] == 1000 + 500 + 1024 + 4096
    assert tokens(r)["construct"] == 6000 + 1024
    (row,) = longest_rows(r, prompt_tokens=1000, instruction_tokens=500)
    assert row is not None
    assert (row.prompt, row.completion) == (6000, 1024)


def test_without_replay_or_auxiliary_there_is_no_such_phase(recipe: Callable[..., Recipe]) -> None:
    control = mel(filter="none", replay_from="start", target="heuristic", context="question")
    assert set(tokens(recipe(auxiliaries=control))) == {"rollout", "construct"}
    assert set(tokens(recipe())) == {"rollout"}
    assert longest_rows(recipe()) == []


def test_a_pair_longer_than_vllms_context_is_refused_with_the_numbers_and_the_knob(
    recipe: Callable[..., Recipe],
) -> None:
    r = recipe(trainer={"use_vllm": True, "vllm_max_model_length": 10_000}, auxiliaries=mel(replay_max_tokens=2000))
    with pytest.raises(ValueError) as error:
        check_context(r, SHAPE, prompt_tokens=1000, instruction_tokens=500)
    assert (
        "construct: prompt 9692 + completion 1024 = 10716 tokens, but trainer.vllm_max_model_length is 10000: lower "
        "auxiliaries.0.settings.max_pair_tokens (the prompt may have 8976 tokens), or raise "
        "trainer.vllm_max_model_length"
    ) in str(error.value)
    assert "replay" not in str(error.value)


def test_max_pair_tokens_as_advised_fits(recipe: Callable[..., Recipe]) -> None:
    settings = mel(replay_max_tokens=2000, max_pair_tokens=8976)
    r = recipe(trainer={"use_vllm": True, "vllm_max_model_length": 10_000}, auxiliaries=settings)
    found = check_context(r, SHAPE, prompt_tokens=1000, instruction_tokens=500)
    assert {item.phase for item in found} == {"rollout", "construct", "replay"}


def test_a_cut_pair_is_as_long_as_its_limit_allows(recipe: Callable[..., Recipe]) -> None:
    r = recipe(auxiliaries=mel(max_pair_tokens=6000, long_pairs="cut"))
    assert tokens(r)["construct"] == 6000 + 1024


def test_the_models_positions_bound_every_phase_and_every_suite(recipe: Callable[..., Recipe]) -> None:
    suites = {"suites": [{"name": "aime24", "max_tokens": 40_000}]}
    r = recipe(trainer={"max_completion_length": 32_768}, evaluation=suites)
    with pytest.raises(ValueError, match="sequences do not fit") as error:
        check_context(r, SHAPE)
    assert "rollout: prompt 1024 + completion 32768 = 33792" in str(error.value)
    assert "evaluation of aime24: prompt 1024 + completion 40000 = 41024" in str(error.value)
    assert "max_position_embeddings is 32768" in str(error.value)


def test_the_models_positions_are_enough_for_a_model_of_any_family(recipe: Callable[..., Recipe]) -> None:
    assert check_context(recipe(), 8192)
    with pytest.raises(ValueError, match="max_position_embeddings is 4096"):
        check_context(recipe(), 4096)


def test_the_miniature_fits_the_512_positions_of_its_policy() -> None:
    """With the lengths of its own prompts, which a run measures."""
    shape = shape_of("Qwen3-0.6B-Base")
    for name in ("grpo", "paper", "recommended"):
        found = check_context(load_recipe(name), shape, prompt_tokens=64, instruction_tokens=48)
        assert max(item.tokens for item in found) <= 512
