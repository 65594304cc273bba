"""The key-value cache, exactly as transformers fills it, and vLLM's share by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from mel.plan import shape_of
from mel.plan.engine import VLLM_OVERHEAD, kv_bytes, transformers_engine, vllm_engine
from mel.plan.numbers import GIB


@pytest.mark.parametrize(("dtype", "element"), [("float32", 4), ("bfloat16", 2)])
def test_the_cache_takes_the_bytes_that_transformers_fills(
    small_model: Callable[..., Any], dtype: str, element: int
) -> None:
    model, shape = small_model()
    cache = model.to(getattr(torch, dtype))(input_ids=torch.ones(3, 17, dtype=torch.long), use_cache=True)
    real = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.past_key_values.layers)
    assert 3 * 17 * kv_bytes(shape, element=element) == real


def test_one_token_of_4b_takes_144_kib() -> None:
    # 2 x 36 layers x 8 heads x 128 x 2 bytes
    assert kv_bytes(shape_of("Qwen3-4B-Base")) == 147_456


def test_transformers_holds_the_cache_of_every_rollout_at_once() -> None:
    shape = shape_of("Qwen3-4B-Base")
    engine = transformers_engine(shape, rows=16, tokens=1000, element=2)
    assert engine.generating == pytest.approx(16 * 1000 * 147_456 * 37 / 36 + 16 * 16 * 151_936)


def test_vllm_has_for_its_cache_what_weights_and_overhead_leave_of_its_share() -> None:
    shape = shape_of("Qwen3-4B-Base")
    engine = vllm_engine(shape, memory=80 * GIB, utilization=0.5, tensor_parallel=1, sequences=128, sleeps=False)
    left = 40 * GIB - 2 * shape.parameters - VLLM_OVERHEAD - 12 * 128 * 151_936
    assert engine.cache_tokens == int(left / 147_456)
    assert engine.training == engine.generating == 40 * GIB


def test_a_sleeping_engine_leaves_the_gpu_to_training() -> None:
    shape = shape_of("Qwen3-4B-Base")
    engine = vllm_engine(shape, memory=80 * GIB, utilization=0.5, tensor_parallel=1, sequences=128, sleeps=True)
    assert engine.training < 2 * GIB < engine.generating


def test_a_share_too_small_for_the_weights_is_refused_with_the_least_that_holds_them() -> None:
    shape = shape_of("Qwen3-14B-Base")
    with pytest.raises(ValueError, match=r"set vllm_gpu_memory_utilization above 0\.37"):
        vllm_engine(shape, memory=80 * GIB, utilization=0.3, tensor_parallel=1, sequences=128, sleeps=False)
