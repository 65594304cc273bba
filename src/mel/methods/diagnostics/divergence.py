"""KL of the policy to the one before training, estimated at the tokens of the rollouts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mel.methods.drive import scored
from mel.ports import Logprobs, Requests
from mel.requests import Score
from mel.types import Group


def kl_counts(groups: Sequence[Group], *, phase: str) -> Requests[Mapping[str, float]]:
    """The estimate summed over all tokens of the rollouts, and their number; two forward passes over them."""
    contexts = tuple(group.prompt_ids for group in groups for _ in group.rollouts)
    targets = tuple(rollout.token_ids for group in groups for rollout in group.rollouts)
    now = yield from scored(Score(contexts=contexts, targets=targets, phase=phase))
    then = yield from scored(Score(contexts=contexts, targets=targets, policy="initial", phase=phase))
    return {"initial_kl/sum": math.fsum(k3(now, then)), "initial_kl/tokens": float(sum(map(len, targets)))}


def k3(current: Sequence[Logprobs], initial: Sequence[Logprobs]) -> list[float]:
    """The estimator k3 = r - 1 - log r, r = initial / current, of every token: unbiased for KL(current || initial) at
    tokens sampled from the current policy at temperature 1, never negative, and of less variance than -log r.

    Source: J. Schulman, Approximating KL Divergence (2020); what TRL logs as `kl`.

    Args:
        current, initial: log-probabilities (nats).
    """
    ratios = [b - a for x, y in zip(current, initial, strict=True) for a, b in zip(x, y, strict=True)]
    return [math.exp(ratio) - 1.0 - ratio for ratio in ratios]


def kl_metrics(counts: Mapping[str, float]) -> dict[str, float]:
    """Nats per token; nothing without a token."""
    tokens = counts.get("initial_kl/tokens", 0.0)
    return {"initial_kl": counts["initial_kl/sum"] / tokens} if tokens else {}
