"""Whether two parsed formulas have one value: exactly where sympy can say so, at many points where it cannot."""

from __future__ import annotations

from typing import Any

_POINTS = 16
_NEEDED = 4
_DIGITS = 60
_STRUCTURES = ("Sum", "Product", "Limit", "Integral", "Derivative")


def is_equal(gold: Any, answer: Any, *, decimals: int = 6) -> bool:
    """Whether two parsed formulas have one value; sets, intervals and tuples by their elements.

    A decimal number answers an exact value that it is the rounding of, to at least `decimals` places.
    """
    from sympy import Interval, MatrixBase, Set, Tuple

    if isinstance(gold, MatrixBase) or isinstance(answer, MatrixBase):
        return _same_matrix(gold, answer, decimals)
    if isinstance(gold, (Set, Tuple)) or isinstance(answer, (Set, Tuple)):
        left, right = _elements(gold), _elements(answer)
        if left is not None and right is not None:
            same = len(left) == len(right)
            return same and all(is_equal(g, a, decimals=decimals) for g, a in zip(left, right, strict=True))
        if isinstance(gold, Interval) and isinstance(answer, Interval):
            return (gold.left_open, gold.right_open) == (answer.left_open, answer.right_open) and all(
                is_equal(g, a, decimals=decimals) for g, a in ((gold.start, answer.start), (gold.end, answer.end))
            )
        return isinstance(gold, Set) and isinstance(answer, Set) and _same_set(gold, answer)
    return _same_value(gold, answer, decimals)


def _elements(found: Any) -> list[Any] | None:
    """The elements of a tuple, or of what could be one: (1,2) is read as an open interval."""
    from sympy import FiniteSet, Interval, Tuple

    if isinstance(found, Tuple):
        return list(found.args)
    if isinstance(found, Interval) and found.left_open and found.right_open:
        return [found.start, found.end]
    if isinstance(found, FiniteSet):
        return sorted(found.args, key=str)
    return None


def _same_matrix(gold: Any, answer: Any, decimals: int) -> bool:
    """Entry by entry; a column vector may be written as a tuple."""
    from sympy import MatrixBase, MatrixExpr

    gold, answer = (each.doit() if isinstance(each, MatrixExpr) else each for each in (gold, answer))
    rows = []
    for each in (gold, answer):
        rows.append((each.shape, each.flat()) if isinstance(each, MatrixBase) else (None, _elements(each)))
    (left_shape, left), (right_shape, right) = rows
    if left is None or right is None or len(left) != len(right):
        return False
    is_same = left_shape == right_shape or (None in (left_shape, right_shape) and (left_shape or right_shape)[1] == 1)
    return is_same and all(is_equal(g, a, decimals=decimals) for g, a in zip(left, right, strict=True))


def _same_set(gold: Any, answer: Any) -> bool:
    from sympy import Float, Rational

    left, right = (
        each.replace(lambda e: isinstance(e, Float), lambda e: Rational(str(e))).doit() for each in (gold, answer)
    )
    if left == right:
        return True
    try:
        return left.symmetric_difference(right).is_empty is True
    except (TypeError, RuntimeError, ValueError):  # sympy says what it cannot decide in any of these
        return False


def _same_value(gold: Any, answer: Any, decimals: int) -> bool:
    from sympy import Basic, Float, Rational

    if not isinstance(gold, Basic) or not isinstance(answer, Basic):
        return False
    left, right = (each.replace(lambda e: isinstance(e, Float), lambda e: Rational(str(e))) for each in (gold, answer))
    if not _are_values(left, right):
        return False
    if left == right:
        return True
    if not left.free_symbols:
        left, right = left.doit(), right.doit()
    if not _are_values(left, right):
        return False
    if left == right or left.free_symbols != right.free_symbols:
        return bool(left == right)
    return _same_function(left, right) if left.free_symbols else _same_constant(left, right, decimals)


def _are_values(*found: Any) -> bool:
    """Whether all are expressions with a value; an undefined one (1/0) equals nothing."""
    from sympy import Expr, nan, zoo

    return all(isinstance(each, Expr) and not each.has(nan, zoo) for each in found)


def _same_constant(left: Any, right: Any, decimals: int) -> bool:
    if left.is_Rational and right.is_Rational:
        is_rounded = _is_rounding(right, left, decimals) or _is_rounding(left, right, decimals)
        return is_rounded and not left.is_Integer and not right.is_Integer
    values = [each.doit().evalf(_DIGITS, maxn=400) for each in (left, right)]
    if any(not value.is_number or value.is_finite is False for value in values):
        return values[0] == values[1] and bool(values[0].is_infinite)
    if any(not _is_complex_number(value) for value in values):
        return False
    if right.is_Rational and not left.is_Rational:
        return _is_rounding(right, values[0], decimals)
    if left.is_Rational and not right.is_Rational and _is_rounding(left, values[1], decimals):
        return True
    return _are_close(*values)


def _is_complex_number(value: Any) -> bool:
    try:
        complex(value)
    except (TypeError, ValueError, OverflowError):
        return bool(value.is_Float)
    return True


def _is_rounding(decimal: Any, exact: Any, decimals: int) -> bool:
    """Whether a decimal fraction is the other value rounded, to `decimals` places and as many digits at least."""
    if not decimal.is_Rational or decimal.is_Integer or not exact.is_real:
        return False
    places = next((n for n in range(1, _DIGITS + 1) if (decimal * 10**n).q == 1), None)
    if places is None:
        return False
    digits = len(str(abs((decimal * 10**places).p)))
    return places >= decimals and digits >= decimals and bool(abs(exact - decimal) * 2 * 10**places <= 1)


def _are_close(left: Any, right: Any) -> bool:
    size = max(abs(left), abs(right))
    return bool(abs(left - right) <= size * 10 ** (5 - _DIGITS))


def _same_function(left: Any, right: Any) -> bool:
    """Equal at every point of a fixed scattering where both are defined; unevaluated sums only by their terms."""
    from sympy import simplify

    if any(type(node).__name__ in _STRUCTURES for each in (left, right) for node in _nodes(each)):
        return bool(simplify(left - right) == 0)
    symbols = sorted(left.free_symbols, key=str)
    is_complex = left.has(1j) or right.has(1j) or "I" in f"{left}{right}"
    seen = 0
    for index in range(_POINTS):
        point = {symbol: _coordinate(index, place) for place, symbol in enumerate(symbols)}
        values = [each.evalf(_DIGITS, subs=point, maxn=200) for each in (left, right)]
        if not all(value.is_number and value.is_finite and (is_complex or value.is_real) for value in values):
            continue
        if not _are_close(*values):
            return False
        seen += 1
    return seen >= _NEEDED


def _nodes(found: Any) -> list[Any]:
    from sympy import preorder_traversal

    return list(preorder_traversal(found))


def _coordinate(index: int, place: int) -> Any:
    """Fractions within and beyond the unit interval, negative ones, whole numbers and large ones, by turns."""
    from sympy import Rational

    prime = (101, 103, 107, 109, 113, 127, 131, 137)[place % 8] + place // 8
    spread = (37 * index + 29 * place + 11) % 97 + 1
    kinds = (
        Rational(spread, prime), Rational(7 * spread, prime) + 1, -Rational(3 * spread, prime) - Rational(1, 7),
        Rational(spread % 9 + place + 2), Rational(spread, 2 * prime), Rational(1000 + 13 * spread, 3),
        -Rational(spread % 7 + 1), Rational(spread, prime) + place,
    )  # fmt: skip
    return kinds[index % len(kinds)]
