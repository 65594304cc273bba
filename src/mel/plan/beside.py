"""Models beside the policy: bytes of the reference, of a process reward model, and of what an implicit one copies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mel.config import Recipe
from mel.plan.layout import Layout
from mel.plan.shapes import ModelShape, config_of, shape_from_config

WIDTHS = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
"""dtype of a config.json -> bytes per weight."""

COPIES = 16
"""Bytes per weight that an implicit reward model keeps: initial and learned weights in float32, two AdamW moments."""


def beside(recipe: Recipe, shape: ModelShape, layout: Layout) -> dict[str, float]:
    """Name -> bytes per process of each model that lies beside the policy from the first step to the last.

    TRL shards the reference as it shards the policy. A process reward model and the copies of an implicit one lie whole
    on every GPU. A process reward model of unknown size is left out, see `unknown`.

    Raises:
        ValueError: an implicit reward model where the policy is sharded or trained by an adapter.
    """
    parts: dict[str, float] = {}
    if float(recipe.trainer.get("beta", 0.0)) and recipe.model.lora is None:
        width = WIDTHS[recipe.model.dtype]
        parts["reference model"] = width * shape.parameters / (layout.processes if layout.shards_parameters else 1)
    model = reward_model(recipe)
    if model is not None:
        of, width = model
        parts["process reward model"] = width * classifier_parameters(of)
    if recipe.credit.settings.learned_reward is not None:
        _check_whole(recipe, layout)
        parts["implicit reward model"] = COPIES * shape.parameters
    return parts


def reward_model(recipe: Recipe) -> tuple[ModelShape, int] | None:
    """Shape and bytes per weight of the process reward model; None of none, and of one whose sizes are not known."""
    declared = recipe.credit.settings.reward_model
    if declared is None:
        return None
    try:
        config = config_of(declared.path)
        return shape_from_config(config), _width(config)
    except ValueError:
        return None


def unknown(recipe: Recipe) -> str | None:
    """The process reward model whose memory a plan cannot count; None if there is none such."""
    declared = recipe.credit.settings.reward_model
    return declared.path if declared is not None and reward_model(recipe) is None else None


def classifier_parameters(shape: ModelShape) -> int:
    """Parameters of a token classifier: two classes with a bias in the place of the language-model head."""
    return shape.layers * shape.layer_parameters + shape.head_parameters + shape.hidden + 2 * shape.hidden + 2


def _width(config: Mapping[str, Any]) -> int:
    """transformers loads a model as its checkpoint says (`dtype: auto`); one that says nothing in float32."""
    return WIDTHS.get(str(config.get("dtype") or config.get("torch_dtype")), 4)


def _check_whole(recipe: Recipe, layout: Layout) -> None:
    if recipe.model.lora is not None or layout.strategy not in ("single", "ddp"):
        how = "adapters are trained" if recipe.model.lora is not None else f"{layout.source} shards"
        raise ValueError(
            f"credit {recipe.credit.name}: an implicit reward model copies all weights, and here {how}: train all "
            "weights on one GPU or under DDP (--accelerate-config), or take another source"
        )
