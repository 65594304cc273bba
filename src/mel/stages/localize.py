"""Localize: which step of y- is taken for the bifurcation s*, where the critique itself does not decide (eq. 2)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from mel.ports import Inspectable, Tokenizer
from mel.types import Pair

Localizer = Literal["critique", "first_difference", "likelihood", "random", "oracle"]
"""Who says where y- leaves the right path.

`critique`: the policy, in the text that holds M (the paper). `first_difference`: the first step that reads otherwise
than in y+. `likelihood`: the step that the policy itself finds least likely, given x and the steps before it. `random`:
any step, a control. `oracle`: the task, where it can check steps, a control.
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
    ids = pair.wrong.token_ids
    sums = [
        (sum(logps[tokenizer.token_index(ids, step.start) : tokenizer.token_index(ids, step.end)]), step.number)
        for step in pair.wrong_steps
    ]
    return min(sums)[1] if sums else None


def true_step(pair: Pair, inspector: Inspectable) -> int | None:
    """Number of the first wrong step as the task knows it; None if it cannot say."""
    return inspector.first_error(pair.problem, pair.wrong.text)
