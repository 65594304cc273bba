"""Answers that repeat a formula of their question instead of working it out."""

from __future__ import annotations

import re
from functools import lru_cache

from mel.verify.formula import as_number
from mel.verify.notation import canonical, normalized
from mel.verify.reading import sides_of

_OPERATION = re.compile(
    r"[-+*/^!]|\\(?:cdot|times|div|sqrt|frac|dfrac|tfrac|sum|prod|int|lim|binom|log|ln|sin|cos|tan)"
)
_SPAN = re.compile(r"\$\$(.+?)\$\$|\$([^$]+)\$|\\\[(.+?)\\\]|\\\((.+?)\\\)", re.DOTALL)


def repeats_the_problem(answer: str, *, gold: str, question: str) -> bool:
    r"""Whether an answer is a formula of the question, copied: `17 \times 23` where 391 was asked for.

    A number, a fraction and a name are values that a question may well contain; an operation is what it asks for.
    """
    if not question or not _OPERATION.search(answer):
        return False
    copied = canonical(normalized(answer))
    return (
        copied in _formulas(question)
        and as_number(normalized(answer)) is None
        and copied != canonical(normalized(gold))
    )


@lru_cache(maxsize=512)
def _formulas(question: str) -> frozenset[str]:
    """The formulas of a question, whole and side by side, in canonical notation."""
    found: set[str] = set()
    for match in _SPAN.finditer(question):
        whole = normalized(next(filter(None, match.groups())))
        found |= {canonical(piece) for piece in (whole, *sides_of(whole))}
    return frozenset(found)
