"""Process reward: what the steps of a rollout are worth, as advantages of its tokens (PURE, arXiv 2504.15275)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

Combine = Literal["min", "sum"]


def combined(rewards: Sequence[float], *, combine: Combine, temperature: float) -> list[float]:
    """The rewards of one rollout's steps, weighted so that their sum is its return.

    `min`: r_k * softmax_k(-r_k / temperature), whose sum comes close to the least of them: a rollout is worth as much
    as its worst step. `sum`: r_k as it is, which a policy can raise by adding steps (PURE shows the collapse); a
    control.
    """
    if combine == "sum" or not rewards:
        return list(rewards)
    least = min(rewards)
    weights = [math.exp(-(reward - least) / temperature) for reward in rewards]
    total = sum(weights)
    return [weight / total * reward for weight, reward in zip(weights, rewards, strict=True)]


def step_advantages(rewards: Sequence[Sequence[float]], spans: Sequence[Sequence[range]]) -> list[list[float]]:
    """Per rollout and token of one group: the sum of what its step and the later steps earned above the others' mean.

    A step earns its reward less (the other rollouts' reward per token) * (its tokens), PURE's leave-one-out baseline,
    so that length by itself earns nothing. Returns are not discounted. A group of one has no baseline and gets zeros.

    Args:
        rewards: per rollout and step, as `combined` gives them.
        spans: the tokens of these steps, which cover the rollout.
    """
    totals, lengths = [sum(r) for r in rewards], [sum(map(len, s)) for s in spans]
    if len(totals) < 2:
        return [[0.0] * length for length in lengths]
    found: list[list[float]] = []
    for index, (of_steps, of_spans) in enumerate(zip(rewards, spans, strict=True)):
        tokens = sum(lengths) - lengths[index]
        per_token = (sum(totals) - totals[index]) / tokens if tokens else 0.0
        later, backwards = 0.0, []
        for reward, span in zip(reversed(of_steps), reversed(of_spans), strict=True):
            later += reward - per_token * len(span)
            backwards += [later] * len(span)
        found.append(backwards[::-1])
    return found
