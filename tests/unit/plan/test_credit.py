"""A plan counts what a credit rule asks for as it counts what auxiliaries do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mel import plan
from mel.config import Recipe
from mel.methods import Assumptions
from mel.plan import check_context, longest_sequences
from mel.plan.batch import Batch
from mel.plan.tokens import tokens_per_step

SHAPE = plan.shape_of("Qwen3-4B-Base")
VLLM = {"use_vllm": True, "vllm_gpu_memory_utilization": 0.3}


def credit(name: str, **settings: Any) -> dict[str, Any]:
    return {"name": name, "settings": settings}


def test_a_continuation_follows_a_whole_rollout_and_there_are_so_many_per_group(recipe: Callable[..., Recipe]) -> None:
    r = recipe(credit=credit("process_reward", samples=3, most_steps=5, max_tokens=700))
    *_, found = longest_sequences(r, prompt_tokens=1000, instruction_tokens=500)
    # 8 rollouts, 4 ends before the last step's, 3 continuations each.
    assert (found.phase, found.prompt, found.completion, found.per_group) == ("step_values", 5096, 700, 96)


def test_a_continuation_that_does_not_fit_names_the_key_that_set_takes(recipe: Callable[..., Recipe]) -> None:
    r = recipe(trainer=VLLM | {"vllm_max_model_length": 8000}, credit=credit("process_reward"))
    with pytest.raises(ValueError, match=r"lower credit\.settings\.max_tokens \(the prompt may have 3904 tokens\)"):
        check_context(r, SHAPE, prompt_tokens=1000, instruction_tokens=500)


def test_a_scored_sequence_needs_the_models_positions_and_not_the_engines(recipe: Callable[..., Recipe]) -> None:
    r = recipe(trainer=VLLM | {"vllm_max_model_length": 8000}, credit="contrast")
    # 1000 + 500 + 4096 and the rollout's 4096 are more than 8000, and the engine never sees them.
    check_context(r, SHAPE, prompt_tokens=1000, instruction_tokens=500)
    r = recipe(trainer={"max_completion_length": 20_000}, credit="contrast")
    with pytest.raises(ValueError, match="contrast: prompt 21500 \\+ completion 20000 = 41500 tokens"):
        check_context(r, SHAPE, prompt_tokens=1000, instruction_tokens=500)


def test_continuations_are_counted_among_the_sampled_tokens(recipe: Callable[..., Recipe]) -> None:
    batch = Batch(processes=1, group_size=8, micro=8, slots=2, accumulation=2)
    at = Assumptions(solution_tokens=1000, prompt_tokens=100, mixed_share=0.5, steps=12)
    r = recipe(credit=credit("process_reward", samples=2, most_steps=5))
    t = tokens_per_step(r, batch, at)
    # Two groups, half of them mixed: 8 rollouts with 4 ends and 2 continuations of half a solution.
    assert t.generated == {"rollout": 16_000, "step_values": 64 * 500}
    assert t.sequences == {"rollout": 16, "step_values": 64}
    assert t.read == 64 * 600
    assert t.trained_ratio == 1.0


def test_a_process_reward_model_and_a_rule_that_asks_nothing_generate_nothing(recipe: Callable[..., Recipe]) -> None:
    batch = Batch(processes=1, group_size=8, micro=8, slots=2, accumulation=2)
    for one in (credit("process_reward", source="model", model="some/prm"), credit("blockwise"), credit("outcome")):
        assert set(tokens_per_step(recipe(credit=one), batch, Assumptions()).generated) == {"rollout"}


def test_a_plan_compares_a_generating_credit_rule_with_the_carrier(recipe: Callable[..., Recipe]) -> None:
    r = recipe(trainer=VLLM, credit=credit("process_reward", max_tokens=500))
    found = plan.estimate(r, SHAPE, gpus=8, gpu_memory_gib=400)
    assert found.arms == "process_reward / GRPO"
    assert "step_values" in {x.phase for x in found.longest}
