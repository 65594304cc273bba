"""Activation formulas against the tensors that autograd saves, for three precisions, and for adapters."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from trl.trainer.utils import add_fused_lm_head

from mel.plan.activations import Pass, activations, head_bytes, layer_bytes, lora_bytes
from mel.plan.numbers import Numbers

NUMBERS = {
    "float32": Numbers(master=4, model=4, residual=4, compute=4, casts_weights=False),
    "bfloat16": Numbers(master=2, model=2, residual=2, compute=2, casts_weights=False),
    "autocast": Numbers(master=4, model=4, residual=4, compute=2, casts_weights=True),
}
B, T = 2, 64


def saved_bytes(model: Any, *, autocast: bool, is_padded: bool) -> int:
    """Bytes of distinct storages that a forward pass saves for backward, parameters and buffers aside."""
    own = {t.untyped_storage().data_ptr() for t in [*model.parameters(), *model.buffers()]}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            # Holding the tensor keeps its address from being used again.
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    ids = torch.arange(B * T).view(B, T) % 512
    mask = torch.ones_like(ids)
    if is_padded:
        mask[0, : T // 4] = 0
    context = torch.autocast("cpu", torch.bfloat16) if autocast else contextlib.nullcontext()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t), context:
        model(input_ids=ids, attention_mask=mask, labels=ids, fused_lm_head=True)
    return sum(t.untyped_storage().nbytes() for t in kept.values())


def build(small_model: Callable[..., Any], precision: str, layers: int, lora: dict[str, Any] | None = None) -> Any:
    model, shape = small_model(num_hidden_layers=layers)
    model = model.to(torch.bfloat16) if precision == "bfloat16" else model
    add_fused_lm_head(model)
    if lora is not None:
        model = get_peft_model(model, LoraConfig(**lora, task_type="CAUSAL_LM"))
    return model.train(), shape


@pytest.mark.parametrize("precision", NUMBERS)
def test_a_layer_saves_exactly_the_bytes_of_the_formula(small_model: Callable[..., Any], precision: str) -> None:
    n, autocast = NUMBERS[precision], precision == "autocast"
    sizes = {}
    for layers in (2, 3):
        model, shape = build(small_model, precision, layers)
        sizes[layers] = saved_bytes(model, autocast=autocast, is_padded=False)
    casts = n.compute * shape.layer_linear_parameters if autocast else 0
    p = Pass(rows=B, tokens=T, targets=T, is_checkpointed=False, has_padding=False)
    assert sizes[3] - sizes[2] == B * T * layer_bytes(shape, n, p) + casts


@pytest.mark.parametrize("precision", NUMBERS)
def test_a_padded_batch_saves_what_the_formula_says_within_four_percent(
    small_model: Callable[..., Any], precision: str
) -> None:
    """The mask's type differs between attention kernels; the rest is exact."""
    n, autocast = NUMBERS[precision], precision == "autocast"
    model, shape = build(small_model, precision, 3)
    p = Pass(rows=B, tokens=T, targets=T, is_checkpointed=False, has_padding=True)
    assert saved_bytes(model, autocast=autocast, is_padded=True) == pytest.approx(
        activations(shape, n, p).stream, rel=0.04
    )


@pytest.mark.parametrize("precision", NUMBERS)
def test_checkpointing_keeps_one_residual_per_layer_exactly(small_model: Callable[..., Any], precision: str) -> None:
    n, autocast = NUMBERS[precision], precision == "autocast"
    sizes = {}
    for layers in (2, 5):
        model, shape = build(small_model, precision, layers)
        model.gradient_checkpointing_enable({"use_reentrant": False})
        sizes[layers] = saved_bytes(model, autocast=autocast, is_padded=False)
    assert sizes[5] - sizes[2] == 3 * B * T * n.residual * shape.hidden
    stream = activations(shape, n, Pass(rows=B, tokens=T, targets=T)).stream
    scored = B * T * n.residual * shape.hidden  # the head's own copy, which `head_bytes` counts
    assert sizes[5] == pytest.approx(stream + scored, rel=0.02)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_adapters_save_no_more_than_the_formula_says_and_at_least_half_of_it(
    small_model: Callable[..., Any], precision: str
) -> None:
    """Frozen linear maps save less than the formula for trained ones, so it bounds from above."""
    n, lora = NUMBERS[precision], {"r": 4, "target_modules": "all-linear"}
    sizes = {}
    for layers in (2, 3):
        model, shape = build(small_model, precision, layers, lora)
        model.enable_input_require_grads()
        sizes[layers] = saved_bytes(model, autocast=False, is_padded=False)
    p = Pass(rows=B, tokens=T, targets=T, is_checkpointed=False, has_padding=False)
    bound = B * T * (layer_bytes(shape, n, p) + lora_bytes(lora, shape, n))
    assert bound / 2 < sizes[3] - sizes[2] <= bound


def test_the_head_never_holds_logits_over_the_vocabulary(small_model: Callable[..., Any]) -> None:
    _, shape = small_model(vocab_size=151_936)
    p = Pass(rows=16, tokens=5120, targets=4096)
    logits = 16 * 4096 * shape.vocab_size * 4
    assert head_bytes(shape, NUMBERS["bfloat16"], p, is_trained=True) < logits / 20


def test_without_checkpointing_every_layer_stays(small_model: Callable[..., Any]) -> None:
    _, shape = small_model()
    kept, free = (
        activations(shape, NUMBERS["bfloat16"], Pass(rows=4, tokens=512, targets=256, is_checkpointed=c)).stream
        for c in (False, True)
    )
    assert kept > 5 * free
