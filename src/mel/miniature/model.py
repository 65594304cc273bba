"""The miniature's policy: a small Qwen3 with tied embeddings, freshly initialized.

Axes: V vocabulary, D width, F Fourier features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

from mel.miniature import SizeName
from mel.miniature.tokenizer import EOS, PAD, vocabulary_of
from mel.tasks.small_world import WorldKind
from mel.tasks.story_counts import STORIES

_PERIODS = (2, 5, 10, 20, 40, 80, 160, 320)


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """Shape of a policy; the feed-forward part is three times as wide as the stream."""

    width: int
    layers: int
    heads: int
    head_dim: int = 32


SIZES: dict[SizeName, Size] = {
    "s": Size(width=96, layers=3, heads=4),
    "m": Size(width=160, layers=4, heads=5),
    "l": Size(width=256, layers=6, heads=8),
}


def build_model(size: Size, *, seed: int, kind: WorldKind[Any] = STORIES) -> Qwen3ForCausalLM:
    """An untrained policy for the words of that kind of world; the same seed gives the same weights."""
    vocabulary = vocabulary_of(kind)
    config = Qwen3Config(
        vocab_size=len(vocabulary),
        hidden_size=size.width,
        intermediate_size=3 * size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        head_dim=size.head_dim,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        pad_token_id=vocabulary.index(PAD),
        eos_token_id=vocabulary.index(EOS),
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen3ForCausalLM(config)
        _initialize(model, kind)
    model.generation_config = GenerationConfig(pad_token_id=config.pad_token_id, eos_token_id=config.eos_token_id)
    return model


@torch.no_grad()
def _initialize(model: Qwen3ForCausalLM, kind: WorldKind[Any]) -> None:
    """Rows of the tied embedding get length 1, so that copying a token is almost free from the start.

    Number words start from Fourier features of their value, a prior that saves minutes of learning to count.
    """
    embedding_VD = model.model.embed_tokens.weight
    width, layers = model.config.hidden_size, model.config.num_hidden_layers
    torch.nn.init.normal_(embedding_VD, std=width**-0.5)
    if kind.numbers:
        first = vocabulary_of(kind).index(kind.numbers[0])
        features_VF = _fourier(len(kind.numbers))
        numbers_VD = features_VF @ torch.randn(features_VF.shape[1], width)
        embedding_VD[first : first + len(kind.numbers)] = numbers_VD / numbers_VD.norm(dim=1, keepdim=True)
    for name, weight in model.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            torch.nn.init.normal_(weight, std=0.02 / math.sqrt(2 * layers))


def _fourier(count: int) -> torch.Tensor:
    angles = [2 * math.pi * torch.arange(count).float() / period for period in _PERIODS]
    return torch.stack([f(a) for a in angles for f in (torch.cos, torch.sin)], dim=1)
