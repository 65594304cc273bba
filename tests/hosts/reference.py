"""Dense references in float64: each sequence by itself, no padding, no batches, formulas as in the papers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mel.types import Divergence, Group, Row


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """A rollout in the policy loss: its tokens, its advantages, and what its summed loss is divided by."""

    context: tuple[int, ...]
    target: tuple[int, ...]
    advantages: tuple[float, ...]
    is_sampled: tuple[bool, ...]
    divisor: float


def double(model: Any) -> Any:
    """A copy in float64.

    Made from the configuration, for in a deep copy the `forward` that accelerate puts in is still the original's.
    """
    config = copy.deepcopy(model.config)
    config._attn_implementation = "eager"
    found = type(model)(config)
    found.load_state_dict(model.state_dict())
    return found.double()


def log_softmax(model: Any, context: Sequence[int], target: Sequence[int], *, temperature: float = 1.0) -> Tensor:
    """(T, V) at the targets."""
    ids = torch.tensor([[*context, *target]])
    return (model(ids).logits[0, len(context) - 1 : -1] / temperature).log_softmax(-1)


def logprobs(model: Any, context: Sequence[int], target: Sequence[int], *, temperature: float = 1.0) -> Tensor:
    """(T,) of the targets."""
    found = log_softmax(model, context, target, temperature=temperature)
    return found.gather(-1, torch.tensor(target)[:, None])[:, 0]


def gradient_of(loss: Tensor, model: Any) -> dict[str, Tensor]:
    """Of every parameter, as far as the loss depends on it."""
    loss.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def normalized(rewards: Sequence[float]) -> list[float]:
    """GRPO's advantages of one group."""
    values = torch.tensor(rewards, dtype=torch.float64)
    return ((values - values.mean()) / (values.std() + 1e-4)).tolist()


def sampled(
    groups: Sequence[Group], advantages: Sequence[Sequence[float]], *, loss_type: str, most: int
) -> list[Sampled]:
    """The rollouts of groups under one of TRL's loss types.

    Args:
        most: longest completion allowed.
    """
    rollouts = [(group, r) for group in groups for r in group.rollouts]
    flat = [a for of_group in advantages for a in of_group]
    tokens = sum(len(r.token_ids) - len(r.hint) for _, r in rollouts)
    found = []
    for (group, r), advantage in zip(rollouts, flat, strict=True):
        own = len(r.token_ids) - len(r.hint)
        divisor = {"grpo": len(rollouts) * own, "dapo": tokens, "dr_grpo": len(rollouts) * most}[loss_type]
        found.append(
            Sampled(
                context=group.prompt_ids if r.context_ids is None else r.context_ids,
                target=r.token_ids,
                advantages=(advantage,) * len(r.token_ids),
                is_sampled=tuple(i not in r.hint for i in range(len(r.token_ids))),
                divisor=divisor,
            )
        )
    return found


def clipped_loss(
    now: Any,
    then: Any,
    rollouts: Sequence[Sampled],
    *,
    epsilon: float = 0.2,
    level: str = "token",
    temperature: float = 1.0,
) -> tuple[Tensor, int]:
    """PPO's clipped surrogate summed over the rollouts, and how many tokens it stopped.

    Args:
        now, then: the policy in training and the one that sampled.
    """
    total, stopped = torch.zeros((), dtype=torch.float64), 0
    for r in rollouts:
        mask = torch.tensor(r.is_sampled)
        logp = logprobs(now, r.context, r.target, temperature=temperature)
        with torch.no_grad():
            old = logprobs(then, r.context, r.target, temperature=temperature)
        moved = logp - old
        if level == "sequence":
            moved = (moved[mask].sum() / mask.sum()).expand_as(moved)
        ratio, advantage = moved.exp(), torch.tensor(r.advantages, dtype=torch.float64)
        each = torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)
        stopped += int(((ratio * advantage > each) & mask).sum())
        total = total - each[mask].sum() / r.divisor
    return total, stopped


def divergence(student: Tensor, teacher: Tensor, kind: Divergence, top_k: int | None) -> Tensor:
    """(T,) from log-probabilities (T, V); beyond the teacher's top k all tokens are one class."""
    if top_k is not None:
        best = teacher.topk(top_k, dim=-1).indices
        student, teacher = (with_tail(x, best) for x in (student, teacher))
    p, q = teacher.exp(), student.exp()
    if kind == "forward_kl":
        return (p * (teacher - student)).sum(-1)
    if kind == "reverse_kl":
        return (q * (student - teacher)).sum(-1)
    middle = ((p + q) / 2).log()
    return ((p * (teacher - middle)).sum(-1) + (q * (student - middle)).sum(-1)) / 2


def with_tail(logp: Tensor, best: Tensor) -> Tensor:
    """(T, k + 1): the named tokens and the rest."""
    rest = torch.ones_like(logp, dtype=torch.bool).scatter(-1, best, False)
    tail = logp.exp().masked_fill(~rest, 0.0).sum(-1, keepdim=True).log()
    return torch.cat([logp.gather(-1, best), tail], dim=-1)


def distill_loss(model: Any, rows: Sequence[Row]) -> Tensor:
    """Mean over rows of weight times the mean over targets of the divergence; the teacher is the same model, fixed."""
    total = torch.zeros((), dtype=torch.float64)
    for row in rows:
        assert row.reference is not None
        student = log_softmax(model, row.context_ids, row.target_ids)
        with torch.no_grad():
            teacher = log_softmax(model, row.reference.context_ids, row.target_ids)
        each = divergence(student, teacher, row.reference.divergence, row.reference.top_k)
        total = total + row.weight * each.mean() / len(rows)
    return total


def nll_loss(model: Any, rows: Sequence[Row], *, reduction: str = "row") -> Tensor:
    """Mean over rows of weight times the mean NLL of a row's targets, or over the tokens of all rows."""
    tokens = sum(len(row.target_ids) for row in rows)
    total = torch.zeros((), dtype=torch.float64)
    for row in rows:
        nll = -logprobs(model, row.context_ids, row.target_ids).sum()
        total = total + row.weight * nll / (tokens if reduction == "token" else len(row.target_ids) * len(rows))
    return total
