"""Shapes of dense decoders: how many parameters lie where, read from a config.json or from a small table."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

FAMILIES = {
    "qwen3": {"has_qk_norm": True, "has_qkv_bias": False},
    "qwen2": {"has_qk_norm": False, "has_qkv_bias": True},
    "llama": {"has_qk_norm": False, "has_qkv_bias": False},
}
"""model_type of config.json -> what its attention has beside four projections."""

LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelShape:
    """A decoder of equal layers with grouped-query attention and a gated feed-forward part.

    Args:
        kv_heads: key-value heads, at most `heads`.
        is_tied: the head is the embedding.
        max_positions: longest sequence the model was made for, in tokens.
    """

    vocab_size: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    is_tied: bool
    max_positions: int
    has_qk_norm: bool = True
    has_qkv_bias: bool = False

    @property
    def query_width(self) -> int:
        """Width of all query heads."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Width of all key heads, which is that of all value heads."""
        return self.kv_heads * self.head_dim

    @property
    def linear_sizes(self) -> dict[str, tuple[int, int]]:
        """Input and output width of each linear map of one layer."""
        h, i, q, kv = self.hidden, self.intermediate, self.query_width, self.kv_width
        return dict(zip(LINEARS, [(h, q), (h, kv), (h, kv), (q, h), (h, i), (h, i), (i, h)], strict=True))

    @property
    def layer_linear_parameters(self) -> int:
        """Weights of one layer's linear maps, which mixed precision casts."""
        return sum(a * b for a, b in self.linear_sizes.values())

    @property
    def layer_parameters(self) -> int:
        """Parameters of one layer."""
        norms = 2 * self.hidden + (2 * self.head_dim if self.has_qk_norm else 0)
        bias = self.query_width + 2 * self.kv_width if self.has_qkv_bias else 0
        return self.layer_linear_parameters + norms + bias

    @property
    def head_parameters(self) -> int:
        """Weights of the language-model head (the embedding's own, if tied)."""
        return self.vocab_size * self.hidden

    @property
    def parameters(self) -> int:
        """All parameters, tied ones once."""
        embeddings = self.head_parameters * (1 if self.is_tied else 2)
        return self.layers * self.layer_parameters + embeddings + self.hidden

    def lora_parameters(self, lora: Mapping[str, Any]) -> int:
        """Parameters of rank-r adapters on the linear maps that `target_modules` names.

        Raises:
            ValueError: a target that is none of this model's linear maps.
        """
        rank = int(lora.get("r", 8))
        return self.layers * sum(rank * sum(self.linear_sizes[name]) for name in lora_targets(lora))


def lora_targets(lora: Mapping[str, Any]) -> tuple[str, ...]:
    """The linear maps that get an adapter; peft's default for these families is q_proj and v_proj.

    Raises:
        ValueError: a target that is none of the layer's linear maps, or a pattern instead of a list of names.
    """
    targets = lora.get("target_modules", ["q_proj", "v_proj"])
    if targets == "all-linear":
        return LINEARS
    unknown = targets if isinstance(targets, str) else sorted(set(targets) - set(LINEARS))
    if unknown:
        raise ValueError(
            f"model.lora.target_modules: a plan reads all-linear or a list of {', '.join(LINEARS)}; got {unknown!r}"
        )
    return tuple(targets)


def shape_of(path: str) -> ModelShape:
    """The shape of a local model directory, of a config.json, or of a Qwen3 base model by its hub id.

    Raises:
        ValueError: neither a directory with config.json nor a model in the table.
    """
    return shape_from_config(config_of(path), source=path)


def config_of(path: str) -> dict[str, Any]:
    """The configuration of a local model directory, of a config.json, or of a Qwen3 base model by its hub id.

    Raises:
        ValueError: neither a directory with config.json nor a model in the table.
    """
    local = Path(path).expanduser()
    config = local / "config.json" if local.is_dir() else local
    if config.is_file():
        return json.loads(config.read_text(encoding="utf-8"))
    table = _table()
    name = path.rsplit("/", 1)[-1]
    if name in table:
        return _FIXED | table[name]
    raise ValueError(
        f"plan: expected a model directory or config.json, or one of {', '.join(table)}; got {path!r}. "
        "For another hub model give the path of its config.json"
    )


def shape_from_config(config: Mapping[str, Any], *, source: str = "config.json") -> ModelShape:
    """The shape that a transformers configuration describes.

    Raises:
        ValueError: a model family whose parameters this package does not know how to count.
    """
    family = str(config.get("model_type"))
    if family not in FAMILIES:
        raise ValueError(f"{source}: a plan knows the model types {', '.join(FAMILIES)}; got {family!r}")
    heads = int(config["num_attention_heads"])
    return ModelShape(
        vocab_size=int(config["vocab_size"]),
        hidden=int(config["hidden_size"]),
        intermediate=int(config["intermediate_size"]),
        layers=int(config["num_hidden_layers"]),
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_dim=int(config.get("head_dim") or config["hidden_size"] // heads),
        is_tied=bool(config.get("tie_word_embeddings", False)),
        max_positions=int(config["max_position_embeddings"]),
        **FAMILIES[family],
    )


_FIXED = {
    "dtype": "bfloat16",
    "model_type": "qwen3",
    "vocab_size": 151936,
    "head_dim": 128,
    "max_position_embeddings": 32768,
}


def _table() -> dict[str, dict[str, Any]]:
    return tomllib.loads((resources.files("mel.plan") / "shapes.toml").read_text(encoding="utf-8"))
