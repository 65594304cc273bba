"""Parameters counted by formula are those of real models, to the last one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

from mel.plan import shape_from_config, shape_of
from mel.plan.shapes import lora_targets

SMALL: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 48,
    "intermediate_size": 112,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}


@pytest.mark.parametrize("is_tied", [True, False])
@pytest.mark.parametrize("kind", [Qwen3Config, Qwen2Config, LlamaConfig])
def test_parameters_are_those_of_a_real_model(kind: type, is_tied: bool) -> None:
    head_dim = {} if kind is Qwen2Config else {"head_dim": 16}
    config = kind(**SMALL, **head_dim, tie_word_embeddings=is_tied)
    model = AutoModelForCausalLM.from_config(config)
    assert shape_from_config(config.to_dict()).parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("Qwen3-0.6B-Base", 596.05),
        ("Qwen3-1.7B-Base", 1720.57),
        ("Qwen3-4B-Base", 4022.47),
        ("Qwen3-8B-Base", 8190.74),
        ("Qwen3-14B-Base", 14768.31),
    ],
)
def test_the_table_holds_the_published_sizes(name: str, millions: float) -> None:
    shape = shape_of(f"Qwen/{name}")
    assert shape.parameters / 1e6 == pytest.approx(millions, abs=0.01)
    config = Qwen3Config(
        vocab_size=shape.vocab_size,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        tie_word_embeddings=shape.is_tied,
    )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert shape.parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "down_proj"], None])
def test_adapters_are_those_that_peft_makes(targets: Any) -> None:
    config = Qwen3Config(**SMALL, head_dim=16)
    lora = {"r": 4} | ({} if targets is None else {"target_modules": targets})
    model = get_peft_model(AutoModelForCausalLM.from_config(config), LoraConfig(**lora, task_type="CAUSAL_LM"))
    real = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert shape_from_config(config.to_dict()).lora_parameters(lora) == real


def test_a_model_directory_or_a_config_file_gives_its_shape(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMALL | {"model_type": "llama", "tie_word_embeddings": False}))
    assert shape_of(str(tmp_path)) == shape_of(str(tmp_path / "config.json"))
    assert shape_of(str(tmp_path)).head_dim == 8


def test_an_unknown_model_or_family_is_refused_with_what_is_known() -> None:
    with pytest.raises(ValueError, match=r"Qwen3-4B-Base.*got 'Qwen/Qwen9-1B'"):
        shape_of("Qwen/Qwen9-1B")
    with pytest.raises(ValueError, match="knows the model types qwen3, qwen2, llama; got 'mamba'"):
        shape_from_config(SMALL | {"model_type": "mamba"})


def test_an_adapter_on_the_head_or_a_pattern_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got \['lm_head'\]"):
        lora_targets({"target_modules": ["q_proj", "lm_head"]})
    with pytest.raises(ValueError, match=r"or a list of .*got '\.\*_proj'"):
        lora_targets({"target_modules": ".*_proj"})
