"""Small real models that the formulas are measured against, and recipes around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, PreTrainedModel, Qwen3Config

from mel.config import Recipe, parse_recipe
from mel.plan import ModelShape, shape_from_config


def config(**changes: Any) -> Qwen3Config:
    values: dict[str, Any] = {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 192,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "tie_word_embeddings": True,
        "max_position_embeddings": 4096,
        "attn_implementation": "sdpa",
    }
    return Qwen3Config(**(values | changes))


@pytest.fixture
def small_model() -> Callable[..., tuple[PreTrainedModel, ModelShape]]:
    """Builds a small Qwen3 with changes, and its shape."""

    def build(**changes: Any) -> tuple[PreTrainedModel, ModelShape]:
        made = config(**changes)
        return AutoModelForCausalLM.from_config(made), shape_from_config(made.to_dict())

    return build


@pytest.fixture
def recipe() -> Callable[..., Recipe]:
    """A recipe for one 4B model; keywords replace sections or, as `trainer`, add to it."""

    def build(*, trainer: dict[str, Any] | None = None, **sections: Any) -> Recipe:
        table: dict[str, Any] = {
            "name": "r",
            "model": {"path": "Qwen/Qwen3-4B-Base"},
            "task": {"name": "dapo_math"},
            "trainer": {
                "per_device_train_batch_size": 8,
                "gradient_accumulation_steps": 16,
                "num_generations": 8,
                "max_completion_length": 4096,
            }
            | (trainer or {}),
        }
        return parse_recipe(table | sections)

    return build
