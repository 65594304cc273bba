"""What a recipe will need before it runs: memory per GPU, tokens per step, context; see docs/scale.md for formulas.

Pure arithmetic over a recipe, a model's config.json and an accelerate configuration; nothing here loads torch.
"""

from mel.methods import Assumptions, Longest
from mel.plan.context import check_context, longest_rows, longest_sequences
from mel.plan.estimate import DoesNotFit, Plan, estimate
from mel.plan.layout import Layout, assumed_layout, load_layout, parse_layout
from mel.plan.render import render
from mel.plan.shapes import ModelShape, shape_from_config, shape_of
from mel.plan.states import least_bytes
from mel.plan.tokens import Tokens

__all__ = [
    "Assumptions",
    "DoesNotFit",
    "Layout",
    "Longest",
    "ModelShape",
    "Plan",
    "Tokens",
    "assumed_layout",
    "check_context",
    "estimate",
    "least_bytes",
    "load_layout",
    "longest_rows",
    "longest_sequences",
    "parse_layout",
    "render",
    "shape_from_config",
    "shape_of",
]
