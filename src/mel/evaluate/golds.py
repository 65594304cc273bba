"""Whether the verifier can read every gold, and takes each for equal to itself when it is written in another way."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from mel.ports import Verifier
from mel.types import Problem
from mel.verify import plain_integer

UNREADABLE = "unreadable_gold"

_OTHER = r"\frac{982451653}{15485863}"
"""An answer that no problem has: what the verifier says of it shows whether it can read the gold."""


@runtime_checkable
class StatesAnswers(Verifier, Protocol):
    """A task that can say how a response states an answer."""

    def stating(self, answer: str) -> str:
        """A response whose final answer is this one."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Golds:
    """What came of looking at every gold.

    Args:
        different: golds that were looked at; equal ones once.
        unreadable: problem and gold, where the verifier cannot read the gold: no response can be right.
        unequal: problem, gold and the verifier's word, where the same answer in another spelling is not right.
    """

    different: int
    unreadable: tuple[tuple[str, str], ...] = ()
    unequal: tuple[tuple[str, str, str], ...] = ()


def examine_golds(problems: Sequence[Problem], task: StatesAnswers) -> Golds:
    """The golds that a verifier of this task cannot use."""
    different = list({(p.answer, str(p.metadata)): p for p in problems}.values())
    # Integers are compared digit by digit, so there is nothing to read.
    others = [p for p in different if plain_integer(p.answer) is None]
    probes = task.verify(others, [task.stating(_OTHER) for _ in others])
    readable = [p for p, v in zip(others, probes, strict=True) if v.reason != UNREADABLE]
    again = task.verify(readable, [task.stating(rewritten(p.answer)) for p in readable])
    return Golds(
        different=len(different),
        unreadable=tuple((p.id, p.answer) for p, v in zip(others, probes, strict=True) if v.reason == UNREADABLE),
        unequal=tuple((p.id, p.answer, v.reason) for p, v in zip(readable, again, strict=True) if not v.is_correct),
    )


def rewritten(gold: str) -> str:
    r"""The same answer in another spelling: `\dfrac` for `\frac`, no `\left` and `\right`, more spaces, no dollars."""
    text = re.sub(r"\\[dt]?frac(?![a-zA-Z])", r"\\dfrac", gold.replace("$", " "))
    text = re.sub(r"\\(?:left|right)(?![a-zA-Z])\s*(?!\.)", "", text)
    spaced = re.sub(r"([=+])", r" \g<1> ", text)
    return f" {' '.join(spaced.split())} "
