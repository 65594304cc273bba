"""Equations and inequalities that are no named value: the same up to a factor, sides and direction."""

from __future__ import annotations

import re
from typing import Any

from mel.verify.equality import is_equal
from mel.verify.formula import UnreadableFormulaError, parse
from mel.verify.reading import depth_of

_SIGN = re.compile(r"\\le(?![a-zA-Z])|\\ge(?![a-zA-Z])|\\neq(?![a-zA-Z])|(?<![:\\])=|[<>]")
_MAX_SIDES = 6


def same_relation(gold: str, answer: str) -> bool:
    """Whether two chains of relations say the same: every neighboring pair of one is a pair of the other."""
    left, right = _pairs(gold), _pairs(answer)
    if not left or len(left) != len(right):
        return False
    try:
        rest = [_difference(*pair) for pair in right]
        for difference, sign in (_difference(*pair) for pair in left):
            match = next((at for at, other in enumerate(rest) if _same(difference, sign, *other)), None)
            if match is None:
                return False
            rest.pop(match)
    except UnreadableFormulaError:
        return False
    return True


def _pairs(text: str) -> list[tuple[str, str, str]]:
    """Neighbors in the chain, turned so that the sign is `<`, `\\le`, `=` or `\\neq`."""
    found = [match for match in _SIGN.finditer(text) if depth_of(text[: match.start()]) == 0]
    signs = [match[0] for match in found]
    edges = [0, *(edge for match in found for edge in match.span()), len(text)]
    sides = [text[start:end].strip() for start, end in zip(edges[::2], edges[1::2], strict=True)]
    if not signs or len(sides) > _MAX_SIDES or not all(sides):
        return []
    pairs = []
    for left, sign, right in zip(sides, signs, sides[1:], strict=False):
        turned = {">": "<", "\\ge": "\\le"}.get(sign)
        pairs.append((right, turned, left) if turned else (left, sign, right))
    return pairs


def _difference(left: str, sign: str, right: str) -> tuple[Any, str]:
    from sympy import Derivative, Expr

    low, high = parse(left), parse(right)
    if not isinstance(low, Expr) or not isinstance(high, Expr) or low.has(Derivative) or high.has(Derivative):
        raise UnreadableFormulaError(f"{left} {sign} {right}")
    return low - high, sign


def _same(gold: Any, sign: str, answer: Any, other_sign: str) -> bool:
    """Whether the differences agree up to a constant factor, positive where the direction matters."""
    if sign != other_sign or gold.free_symbols != answer.free_symbols or not gold.free_symbols:
        return False
    factor = _factor(gold, answer)
    if factor is None or (sign in ("<", "\\le") and factor < 0):
        return False
    return is_equal(gold, factor * answer)


def _factor(gold: Any, answer: Any) -> Any:
    """What the answer must be multiplied by, found at one point; None if there is no such real number."""
    from sympy import Rational, nsimplify

    point = {symbol: Rational(7 * at + 3, 11) + at for at, symbol in enumerate(sorted(gold.free_symbols, key=str))}
    top, bottom = gold.subs(point).doit(), answer.subs(point).doit()
    if not bottom.is_number or not top.is_number or bottom.is_zero or top.is_zero:
        return None
    ratio = top / bottom if (top / bottom).is_Rational else nsimplify(top / bottom, rational=False)
    return ratio if ratio.is_real and ratio.is_finite and not ratio.is_zero else None
