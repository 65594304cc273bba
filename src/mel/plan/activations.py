"""Bytes of one forward and backward pass: what layers save, what checkpointing leaves, what the fused head needs.

Counted from transformers' Qwen3 with `sdpa` attention and TRL's fused language-model head, token by token; the
tests compare these formulas with the tensors that autograd really saves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mel.plan.numbers import Numbers
from mel.plan.shapes import ModelShape, lora_targets

HEAD_TOKENS = 4096
HEAD_VOCABULARY = 32768
"""TRL's fused head projects tiles of so many tokens by so many words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pass:
    """One micro-batch through the model.

    Args:
        rows: sequences.
        tokens: padded length of each.
        targets: how many of them, at the end, are scored.
        is_checkpointed: only the stream between layers is kept; a layer's inside is computed again.
        has_padding: sequences of unlike length share a batch, so that attention gets a mask.
    """

    rows: int
    tokens: int
    targets: int
    is_checkpointed: bool = True
    has_padding: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Activations:
    """Bytes at the peak of one forward and backward pass.

    Args:
        stream: kept from the forward pass until its backward pass, over all layers.
        working: what comes on top at the worst moment: one layer's inside, the head, or autocast's copies.
    """

    stream: float
    working: float

    @property
    def total(self) -> float:
        return self.stream + self.working


def layer_bytes(shape: ModelShape, n: Numbers, p: Pass) -> float:
    """What one layer saves for its backward pass, per token of the batch, weights cast by autocast aside."""
    h, q, kv, i = shape.hidden, shape.query_width, shape.kv_width, shape.intermediate
    c = n.compute
    norms = 2 * ((4 + n.residual) * h + 4)
    # Autocast casts the input of each of the five linear maps that read a norm's output; else they share it.
    inputs = (5 * c if n.casts_weights else 2 * n.residual) * h
    per_head = (4 + c) * (q + kv) + 4 * (shape.heads + shape.kv_heads) if shape.has_qk_norm else 0
    keys = q if p.has_padding else kv
    attention = 2 * c * q + 2 * c * keys + 4 * shape.heads + (c * p.tokens if p.has_padding else 0)
    return norms + inputs + per_head + attention + 4 * c * i


def lora_bytes(lora: Mapping[str, Any] | None, shape: ModelShape, n: Numbers) -> float:
    """What adapters save on top in one layer, per token: their input in float32, and the low-rank product."""
    if lora is None:
        return 0.0
    rank = int(lora.get("r", 8))
    return sum((4 + n.compute) * shape.linear_sizes[name][0] + 8 * rank for name in lora_targets(lora))


def head_tile(n: Numbers, p: Pass) -> float:
    """The largest piece of logits that TRL's fused head holds at once."""
    return min(p.rows * p.targets, HEAD_TOKENS) * HEAD_VOCABULARY * n.compute


def forward_bytes(shape: ModelShape, n: Numbers, p: Pass) -> float:
    """The peak of a pass without gradient, the head aside: the stream and one layer's feed-forward part.

    Besides an attention mask where there is padding, and the copies of all linear maps that autocast holds.
    """
    mask = n.compute * p.tokens * p.rows * p.tokens if p.has_padding else 0
    casts = shape.layers * n.compute * shape.layer_linear_parameters if n.casts_weights else 0
    return in_flight(shape, n, p) + mask + casts


def in_flight(shape: ModelShape, n: Numbers, p: Pass) -> float:
    """What goes through one layer at a time: three feed-forward widths and the stream before and behind."""
    return p.rows * p.tokens * (3 * n.compute * shape.intermediate + 2 * n.residual * shape.hidden)


def head_bytes(shape: ModelShape, n: Numbers, p: Pass, *, is_trained: bool) -> float:
    """The fused head in its backward pass: scored states and their gradient, one tile, the weight's gradient.

    There are no logits of shape (rows, tokens, vocabulary). The weight's gradient is accumulated in float32 and
    then cast to the weight's type.
    """
    scored = p.rows * p.targets
    tile = head_tile(n, p)
    states = scored * shape.hidden * (2 * n.residual + 4)
    weight = (4 + (2 if n.model == 2 else 0)) * shape.head_parameters if is_trained else 0
    return tile + states + weight


def activations(shape: ModelShape, n: Numbers, p: Pass, *, lora: Mapping[str, Any] | None = None) -> Activations:
    """The peak of one pass.

    With checkpointing the stream is one residual per layer and token; the worst moment is one layer computed again
    (its saved tensors and the gradients in flight), the head, or the copies that autocast holds of all linear maps
    until the forward pass ends. Without, all layers' saved tensors and autocast's copies stay.
    """
    tokens = p.rows * p.tokens
    per_layer = layer_bytes(shape, n, p) + lora_bytes(lora, shape, n)
    moving = in_flight(shape, n, p)
    casts = 0 if not n.casts_weights else n.compute * shape.layer_linear_parameters
    head = head_bytes(shape, n, p, is_trained=lora is None)
    ends = tokens * shape.hidden * (4 + n.residual)
    if not p.is_checkpointed:
        return Activations(
            stream=shape.layers * (tokens * per_layer + casts) + ends,
            working=max(head, moving),
        )
    return Activations(
        stream=shape.layers * tokens * n.residual * shape.hidden + ends,
        working=max(tokens * per_layer + moving + casts, head, shape.layers * casts),
    )
