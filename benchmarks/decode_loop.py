"""A hand-written static-cache decode loop of a Qwen3: the ceiling that the rollouts of a host are measured against.

No generality, no logits processors, no dynamic cache: weights of one `Qwen3ForCausalLM`, a cache allocated once, one
matrix product for q, k and v, one for gate and up. `python -m benchmarks.decode_loop` checks that its greedy
output equals transformers' and prints tokens per second of both.

Axes: B sequences, T positions, H query heads, K key-value heads, D head size, E width, V vocabulary.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class DecodeLoop:
    """Decodes with the weights of a Qwen3 as they are now (they are not copied, except where they are joined)."""

    def __init__(self, model: Any) -> None:
        config = model.config
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim, self.eps = config.head_dim, config.rms_norm_eps
        self.embedding_VE = model.model.embed_tokens.weight
        self.head_VE = model.lm_head.weight
        self.norm_E = model.model.norm.weight
        self.layers = [_joined(layer) for layer in model.model.layers]
        self.inverse_frequency = model.model.rotary_emb.inv_freq.float()

    @torch.inference_mode()
    def generate(
        self, ids_BT: Tensor, mask_BT: Tensor, *, max_new_tokens: int, eos: int, pad: int, temperature: float
    ) -> Tensor:
        """Sampled tokens (greedy at temperature 0), padded after the end; prompts are padded on the left."""
        batch, prompt = ids_BT.shape
        total = prompt + max_new_tokens
        dtype = self.embedding_VE.dtype
        cache = [torch.empty(2, batch, self.kv_heads, total, self.head_dim, dtype=dtype) for _ in self.layers]
        position_BT = (mask_BT.cumsum(dim=1) - 1).clamp(min=0)
        cos_BTD, sin_BTD = self._rotation(position_BT, dtype)
        causal_TT = torch.ones(prompt, prompt, dtype=torch.bool).tril()
        seen_BT = torch.cat([mask_BT.bool(), torch.ones(batch, max_new_tokens, dtype=torch.bool)], dim=1)
        attend = causal_TT[None, None] & seen_BT[:, None, None, :prompt]
        # A padding position attends to itself, for a row without any key would be NaN.
        attend = attend | torch.eye(prompt, dtype=torch.bool)[None, None]
        hidden_BTE = self._forward(ids_BT, cache, cos_BTD, sin_BTD, attend, 0)
        lengths_B = mask_BT.sum(dim=1)
        # Rotations of all new positions at once: the loop only slices.
        later_BT = lengths_B[:, None] + torch.arange(max_new_tokens)[None]
        cos_BTD, sin_BTD = self._rotation(later_BT, dtype)
        is_padded = not bool(mask_BT.all())
        out_BT = torch.full((batch, max_new_tokens), pad)
        done_B = torch.zeros(batch, dtype=torch.bool)
        for step in range(max_new_tokens):
            logits_BV = functional.linear(hidden_BTE[:, -1], self.head_VE).float()
            next_B = _choose(logits_BV, temperature).masked_fill(done_B, pad)
            out_BT[:, step] = next_B
            done_B |= next_B == eos
            if step + 1 == max_new_tokens or bool(done_B.all()):
                break
            at = prompt + step
            attend = seen_BT[:, None, None, : at + 1] if is_padded else None
            rotation = cos_BTD[:, step : step + 1], sin_BTD[:, step : step + 1]
            hidden_BTE = self._forward(next_B[:, None], cache, *rotation, attend, at)
        return out_BT

    def _rotation(self, position_BT: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        angle_BTD = position_BT[..., None].float() * self.inverse_frequency
        angle_BTD = torch.cat([angle_BTD, angle_BTD], dim=-1)[:, :, None]
        return angle_BTD.cos().to(dtype), angle_BTD.sin().to(dtype)

    def _forward(
        self, ids_BT: Tensor, cache: list[Tensor], cos: Tensor, sin: Tensor, attend: Tensor | None, start: int
    ) -> Tensor:
        batch, count = ids_BT.shape
        end = start + count
        x_BTE = functional.embedding(ids_BT, self.embedding_VE)
        for layer, (keys, values) in zip(self.layers, cache, strict=True):
            normed = self._norm(x_BTE, layer["attention_norm"])
            qkv = functional.linear(normed, layer["qkv"]).view(batch, count, -1, self.head_dim)
            q, k, v = qkv.split([self.heads, self.kv_heads, self.kv_heads], dim=2)
            q = _rotate(self._norm(q, layer["q_norm"]), cos, sin).transpose(1, 2)
            keys[:, :, start:end] = _rotate(self._norm(k, layer["k_norm"]), cos, sin).transpose(1, 2)
            values[:, :, start:end] = v.transpose(1, 2)
            mixed = functional.scaled_dot_product_attention(
                q, keys[:, :, :end], values[:, :, :end], attn_mask=attend, enable_gqa=self.heads != self.kv_heads
            )
            x_BTE = x_BTE + functional.linear(mixed.transpose(1, 2).reshape(batch, count, -1), layer["out"])
            gate, up = functional.linear(self._norm(x_BTE, layer["mlp_norm"]), layer["gate_up"]).chunk(2, dim=-1)
            x_BTE = x_BTE + functional.linear(functional.silu(gate) * up, layer["down"])
        return self._norm(x_BTE[:, -1:], self.norm_E)

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        if x.dtype == torch.float32:
            return functional.rms_norm(x, (x.shape[-1],), weight, self.eps)
        # As transformers does it in lower precision: the mean in float32, the weight after rounding.
        wide = x.float()
        return weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)).to(x.dtype)


def _joined(layer: Any) -> dict[str, Tensor]:
    attention, mlp = layer.self_attn, layer.mlp
    return {
        "attention_norm": layer.input_layernorm.weight,
        "qkv": torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]).detach(),
        "q_norm": attention.q_norm.weight,
        "k_norm": attention.k_norm.weight,
        "out": attention.o_proj.weight,
        "mlp_norm": layer.post_attention_layernorm.weight,
        "gate_up": torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]).detach(),
        "down": mlp.down_proj.weight,
    }


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


def _choose(logits_BV: Tensor, temperature: float) -> Tensor:
    if temperature == 0:
        return logits_BV.argmax(dim=-1)
    # The largest of p / Exponential(1) is a draw from p; cheaper than torch.multinomial.
    weights_BV = torch.softmax(logits_BV / temperature, dim=-1)
    return (weights_BV / torch.empty_like(weights_BV).exponential_()).argmax(dim=-1)


def left_padded(prompts: list[list[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Token ids and mask of prompts of unequal length."""
    longest = max(map(len, prompts))
    ids_BT = torch.tensor([[pad] * (longest - len(p)) + p for p in prompts])
    mask_BT = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    return ids_BT, mask_BT


def sampled_tokens(out_BT: Tensor, eos: int) -> int:
    """Tokens up to and including the first end of each row."""
    ended_BT = (out_BT == eos).cumsum(dim=1)
    before_BT = (ended_BT == 0) | ((out_BT == eos) & (ended_BT == 1))
    return int(before_BT.sum())


def greedy_agreement(model: Any, prompts: list[list[int]], *, max_new_tokens: int, eos: int, pad: int) -> float:
    """Share of positions, 0 to 1, at which the loop and transformers choose the same greedy token."""
    ids_BT, mask_BT = left_padded(prompts, pad)
    ours = DecodeLoop(model).generate(ids_BT, mask_BT, max_new_tokens=max_new_tokens, eos=eos, pad=pad, temperature=0.0)
    theirs = model.generate(
        input_ids=ids_BT, attention_mask=mask_BT, max_new_tokens=max_new_tokens, do_sample=False,
        eos_token_id=eos, pad_token_id=pad,
    )[:, ids_BT.shape[1] :]  # fmt: skip
    width = theirs.shape[1]
    same = (ours[:, :width] == theirs).float().mean().item()
    return same if bool((ours[:, width:] == pad).all()) else math.nan
