"""Contrast: credit per token by what a right peer makes likelier than a wrong one does (CEPO, RLCSD, HSD)."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from mel.types import Group

Form = Literal["cepo", "rlcsd"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Peers:
    """Positions of the rollouts that a rollout is read against.

    Args:
        right: of the right one.
        wrong: of the wrong ones, at least one.
    """

    right: int
    wrong: tuple[int, ...]


def peers_of(group: Group, position: int, *, most_wrong: int, rng: random.Random) -> Peers | None:
    """A right and up to `most_wrong` wrong rollouts of the group, never the rollout itself; None if either lacks.

    A rollout after its own text would be near certain of every token.
    """
    others = [(i, rollout.verdict.is_correct) for i, rollout in enumerate(group.rollouts) if i != position]
    right, wrong = [i for i, is_right in others if is_right], [i for i, is_right in others if not is_right]
    if not right or not wrong:
        return None
    return Peers(right=rng.choice(right), wrong=tuple(rng.sample(wrong, min(most_wrong, len(wrong)))))


def evidence(right: Sequence[float], wrong: Sequence[Sequence[float]]) -> list[float]:
    """Per token log p(token | right peer) - log mean over wrong peers of p(token | wrong peer), in nats.

    Args:
        right: log-probability per token after the right peer.
        wrong: the same after each wrong peer; after no peer at all for HSD's one-sided credit.
    """
    return [r - _log_mean_exp(column) for r, column in zip(right, zip(*wrong, strict=True), strict=True)]


def weighted(advantage: float, evidence_T: Sequence[float], *, mixing: float, clip: float) -> list[float]:
    """CEPO: A * ((1 - mixing) + mixing * clip(exp(sign(A) * evidence), 1 - clip, 1 + clip)) per token."""
    sign = math.copysign(1.0, advantage)
    # A clipped exponent stands for an exponential that would overflow: the clip makes the same of both.
    weights = [min(max(math.exp(min(sign * e, 50.0)), 1.0 - clip), 1.0 + clip) for e in evidence_T]
    return [advantage * (1.0 - mixing + mixing * weight) for weight in weights]


def shifted(
    advantage: float, evidence_T: Sequence[float], *, strength: float, tau: float, threshold: float
) -> list[float]:
    """RLCSD: A + strength * tanh(evidence / tau) where that shift exceeds `threshold`, never past zero, per token."""
    found: list[float] = []
    for e in evidence_T:
        shift = strength * math.tanh(e / tau)
        value = advantage + (shift if abs(shift) > threshold else 0.0)
        found.append(max(value, 0.0) if advantage > 0 else min(value, 0.0) if advantage < 0 else 0.0)
    return found


def with_mean(values: Sequence[float], mean: float) -> list[float]:
    """The values scaled to that mean, so that tokens are told apart and rollouts weigh as before; `mean` for each if
    they are all zero."""
    found = fmean(values) if values else 0.0
    return [value * mean / found for value in values] if found else [mean] * len(values)


def _log_mean_exp(values: Sequence[float]) -> float:
    most = max(values)
    return most + math.log(fmean(math.exp(value - most) for value in values))
