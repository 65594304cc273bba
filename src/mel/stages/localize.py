"""Localize: which step of y- is taken for the bifurcation s*, where the critique itself does not decide (eq. 2)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mel.ports import Inspectable, Tokenizer
from mel.types import Pair

Localizer = Literal[
    "critique",
    "first_difference",
    "novel_value",
    "likelihood",
    "least_likely",
    "monte_carlo",
    "agreement",
    "random",
    "oracle",
]
"""Who says where y- leaves the right path.

`critique`: the policy, in the text that holds M (the paper). `first_difference`: the first step that reads otherwise
than in y+. `novel_value`: the first step with a number that neither x nor y+ states. `likelihood`: the step whose
log-probability falls most when the policy has y+ before it. `least_likely`: the step that the policy itself finds least
likely, given x and the steps before it. `monte_carlo`: the first step behind which continuations seldom succeed, by
bisection. `agreement`: the critique where `first_difference` or `novel_value` confirms it, else the earlier step.
`random`: any step, a control. `oracle`: the task, where it can check steps, a control.
"""


def first_difference(pair: Pair) -> int | None:
    """Number of the first step of y- that differs from the same step of y+; None if y- only ends earlier."""
    number = pair.shared_steps + 1
    return number if number <= len(pair.wrong_steps) else None


def any_step(pair: Pair, rng: random.Random) -> int | None:
    """A step of y- drawn at random; None if it has none."""
    return rng.randint(1, len(pair.wrong_steps)) if pair.wrong_steps else None


def least_likely(pair: Pair, logps: Sequence[float], tokenizer: Tokenizer) -> int | None:
    """Number of the step of y- whose tokens have the lowest summed log-probability; None if it has no step.

    Args:
        logps: log-probability of every token of y- given x and the tokens before it, in nats.
    """
    sums = _sums(pair, logps, tokenizer)
    return min(zip(sums, (step.number for step in pair.wrong_steps), strict=True))[1] if sums else None


def steepest_fall(
    pair: Pair, alone: Sequence[float], beside_right: Sequence[float], tokenizer: Tokenizer
) -> int | None:
    """Number of the step of y- whose summed log-probability falls most once y+ is known; None if it has no step.

    What is unlikely in itself, such as an unusual word, is so with and without y+ and does not count.

    Args:
        alone: log-probability of every token of y- given x and the tokens before it, in nats.
        beside_right: the same given x, y+, and x once more.
    """
    return least_likely(pair, [b - a for a, b in zip(alone, beside_right, strict=True)], tokenizer)


def _sums(pair: Pair, logps: Sequence[float], tokenizer: Tokenizer) -> list[float]:
    """The summed values of each step's tokens."""
    ids = pair.wrong.token_ids
    return [
        sum(logps[tokenizer.token_index(ids, step.start) : tokenizer.token_index(ids, step.end)])
        for step in pair.wrong_steps
    ]


def agreed(stated: int, first_difference: int | None, novel_value: int | None) -> int:
    """The stated step if one of the two free localizers names it too; else the earlier of it and a free one's.

    Two solutions in prose differ from their first words, so a step with a new value is preferred to one that differs.
    """
    if stated in (first_difference, novel_value):
        return stated
    free = novel_value or first_difference
    return stated if free is None else min(stated, free)


def true_step(pair: Pair, inspector: Inspectable) -> int | None:
    """Number of the first wrong step as the task knows it; None if it cannot say."""
    return inspector.first_error(pair.problem, pair.wrong.text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bisection:
    """The search for the first step behind which continuations seldom succeed.

    Args:
        sound: number of leading steps behind which they still do; 0 at the start.
        lost: behind this step they do not; at the start the last one of y-, which ends wrong.
    """

    sound: int
    lost: int

    @property
    def probe(self) -> int | None:
        """The step to continue from next; None once the first lost step is known."""
        return (self.sound + self.lost) // 2 if self.lost - self.sound > 1 else None

    @property
    def step(self) -> int:
        """s*, or the earliest step that it can still be."""
        return self.sound + 1

    def told(self, success_rate: float, pass_rate: float) -> Bisection:
        """The search after the probe: lost is where at most half of the group's pass rate is left."""
        probe = self.probe
        if probe is None:
            return self
        is_lost = success_rate <= pass_rate / 2
        return Bisection(sound=self.sound if is_lost else probe, lost=probe if is_lost else self.lost)
