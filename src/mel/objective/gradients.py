"""Arithmetic on the gradients of a list of parameters, sharded or not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Partial, Replicate

Gradients = list[Tensor | None]
"""One gradient per parameter, in the parameters' order; None where there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Norms of two gradients and the cosine of the angle between them; 0 if one of them is zero."""

    left_norm: float
    right_norm: float
    cosine: float


def take(parameters: Sequence[Tensor], *, copy: bool = False) -> Gradients:
    """The parameters' gradients, which are then empty.

    Args:
        copy: needed where `.grad` is a view into somebody's buffer (DDP with `gradient_as_bucket_view`).
    """
    taken: Gradients = []
    for parameter in parameters:
        gradient = parameter.grad
        taken.append(gradient.clone() if copy and gradient is not None else gradient)
        parameter.grad = None
    return taken


def add(parameters: Sequence[Tensor], gradients: Gradients, *, factor: float) -> None:
    """Adds `factor * gradients` to what the parameters hold; a factor of 0 changes nothing at all."""
    if factor == 0:
        return
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is None:
            continue
        if parameter.grad is None:
            parameter.grad = gradient.mul(factor)
        else:
            parameter.grad.add_(gradient, alpha=factor)


def without(gradients: Gradients, parts: Sequence[tuple[Gradients | None, float]]) -> Gradients:
    """What is left of a sum of gradients when `factor * part` is taken away; the very same without a part.

    Args:
        parts: (part, factor); None for one that is not in the sum.
    """
    left = list(gradients)
    for part, factor in parts:
        if part is not None and factor != 0:
            left = [_less(a, b, factor) for a, b in zip(left, part, strict=True)]
    return left


def _less(gradient: Tensor | None, part: Tensor | None, factor: float) -> Tensor | None:
    return gradient if gradient is None or part is None else gradient - factor * part


def scale(parameters: Sequence[Tensor], factor: float) -> None:
    """Multiplies what the parameters hold; a factor of 1 changes nothing at all."""
    if factor == 1:
        return
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.mul_(factor)


def projected(found: Comparison) -> float:
    """How much of the left gradient is to be added per unit of the right one, so that the two no longer conflict.

    Right minus its projection on left is orthogonal to left (PCGrad, arXiv 2001.06782): right - <left, right> /
    |left|^2 left. What is returned is the factor of left there, at least 0; 0 where the two do not conflict.
    """
    if found.cosine >= 0 or found.left_norm == 0:
        return 0.0
    return -found.cosine * found.right_norm / found.left_norm


def compare(left: Gradients, right: Gradients) -> Comparison:
    """Norms and cosine over all parameters; of sharded gradients over all shards.

    Every rank must call this with the same parameters. Products are summed in float64.
    """
    left_square, right_square, product = _inner(left, left), _inner(right, right), _inner(left, right)
    left_norm, right_norm = math.sqrt(left_square), math.sqrt(right_square)
    scale = left_norm * right_norm
    return Comparison(left_norm=left_norm, right_norm=right_norm, cosine=product / scale if scale > 0 else 0.0)


def _inner(left: Gradients, right: Gradients) -> float:
    """Inner product; one collective per kind of sharding instead of one per parameter."""
    sums: dict[tuple[object, ...], tuple[DTensor | None, Tensor]] = {}
    for a, b in zip(left, right, strict=True):
        if a is None or b is None:
            continue
        is_sharded = isinstance(a, DTensor)
        local_a, local_b = (a.to_local(), b.to_local()) if is_sharded and isinstance(b, DTensor) else (a, b)
        key = (a.device_mesh, a.placements) if is_sharded else (a.device,)
        part = torch.dot(local_a.reshape(-1).float(), local_b.reshape(-1).float()).double()
        example, total = sums.get(key, (a if is_sharded else None, torch.zeros_like(part)))
        sums[key] = (example, total + part)
    return sum((_over_shards(example, total) for example, total in sums.values()), 0.0)


def _over_shards(example: DTensor | None, total: Tensor) -> float:
    if example is None:
        return float(total)
    placements = [Replicate() if p.is_replicate() else Partial() for p in example.placements]
    return float(DTensor.from_local(total, example.device_mesh, placements).full_tensor())
