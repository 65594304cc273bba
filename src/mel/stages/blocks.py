"""Blocks: parts of a rollout that are rewarded for different things (Blockwise Advantage Estimation, 2602.10231)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Literal

from mel.types import Rollout, Step

Reward = Literal["form", "brier"]

ANSWERED = ("right", "wrong")
"""Reasons of a verdict on a solution that states an answer."""

_NUMBER = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(%?)")


def blocks_of(text: str, marks: Sequence[str]) -> tuple[Step, ...]:
    """The text cut where each mark stands last, the first block before all marks; contiguous, one more than marks.

    A mark that is missing, or stands before an earlier mark, begins an empty block at the end of the text.
    """
    starts, last = [0], 0
    for mark in marks:
        at = text.rfind(mark, last)
        last = len(text) if at < 0 else at
        starts.append(last)
    ends = [*starts[1:], len(text)]
    return tuple(Step(number=i + 1, start=a, end=b) for i, (a, b) in enumerate(zip(starts, ends, strict=True)))


def block_reward(reward: Reward, rollout: Rollout, block: str) -> float:
    """What a block behind a mark earns.

    `form`: 1 if the verifier read an answer in the solution, right or wrong, else 0. `brier`: -(q - c)^2 for the
    probability q that the block states first (`0.8`, `80%`) of being right, c being 1 if it is; -1 if it states none.
    """
    if reward == "form":
        return float(rollout.verdict.reason in ANSWERED)
    found = _NUMBER.search(block)
    if found is None:
        return -1.0
    stated = float(found[1]) / (100.0 if found[2] else 1.0)
    return -((min(stated, 1.0) - rollout.verdict.is_correct) ** 2)


def conditioned_baselines(rewards: Sequence[float], strata: Sequence[Hashable], *, kappa: float) -> list[float]:
    """Per rollout the mean reward of those with the same outcome, drawn towards the mean of all.

    b = (n_o * mean_o + kappa * mean) / (n_o + kappa), where n_o counts the rollouts of the stratum. With kappa 0 it is
    the outcome-conditioned baseline of the paper, whose strata are large; a stratum of one would then earn nothing.

    Args:
        strata: the outcome of each rollout before the block.
    """
    of_stratum: dict[Hashable, list[float]] = defaultdict(list)
    for reward, stratum in zip(rewards, strata, strict=True):
        of_stratum[stratum].append(reward)
    mean = sum(rewards) / max(len(rewards), 1)
    return [(sum(own) + kappa * mean) / (len(own) + kappa) for own in (of_stratum[stratum] for stratum in strata)]
