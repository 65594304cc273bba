"""Muon for small matrices on a CPU: momentum whose singular values are all pushed to about 1.

Source: K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024. `torch.optim.Muon`
computes in bfloat16, matrix by matrix; at our width that costs more than the backward pass. Here matrices of one
shape are stacked and stay in float32.

Axes: K matrices of one shape, R rows, C columns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch

_QUINTIC = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Steps of root-mean-square size ``lr`` in every entry, for the hidden matrices of a network."""

    def __init__(self, params: Iterable[torch.nn.Parameter], *, lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            shapes: dict[torch.Size, list[torch.nn.Parameter]] = defaultdict(list)
            for p in group["params"]:
                shapes[p.shape].append(p)
            for same in shapes.values():
                updates_KRC = orthogonalized(torch.stack([self._momentum(p, group["momentum"]) for p in same]))
                scale = group["lr"] * max(same[0].shape) ** 0.5
                for p, update_RC in zip(same, updates_KRC, strict=True):
                    p.add_(update_RC, alpha=-scale)

    def _momentum(self, p: torch.nn.Parameter, beta: float) -> torch.Tensor:
        average = self.state[p].setdefault("momentum", torch.zeros_like(p))
        gradient = p.grad if p.grad is not None else torch.zeros_like(p)
        average.lerp_(gradient, 1 - beta)
        return gradient.lerp(average, beta)


def orthogonalized(matrices_KRC: torch.Tensor, *, iterations: int = 5) -> torch.Tensor:
    """The same matrices with every singular value between about 0.7 and 1.2 (Newton-Schulz, quintic)."""
    a, b, c = _QUINTIC
    is_tall = matrices_KRC.shape[-2] > matrices_KRC.shape[-1]
    x = matrices_KRC.mT if is_tall else matrices_KRC
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if is_tall else x
