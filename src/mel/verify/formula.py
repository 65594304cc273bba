r"""One formula, read by latex2sympy2 and compared by sympy: exact where it can be, by many points where it cannot.

latex2sympy2 must read all of a formula or none of it. Where it drops a sign or takes one for another (a prime, a
product for a mixed number, `\gamma` for Euler's constant), the text is made plain before.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from mel.verify.notation import canonical

_NUMBER = re.compile(r"([+-]?)\s*(?:([0-9]+)(?:\.([0-9]+))?|\.([0-9]+))")
_FRACTION = re.compile(r"([+-]?)\s*(?:\\frac\{([+-]?[0-9]+)\}\{([+-]?[0-9]+)\}|([0-9]+)\s*/\s*([0-9]+))")
_MIXED = re.compile(r"(?<![0-9.^_}])([0-9]+)\s*\\frac\{([0-9]+)\}\{([0-9]+)\}")
# What the parser would read as something else than it is; the text comparison alone speaks for these.
_UNREADABLE = re.compile(
    r"\.\.|\\[lcdv]?dots|\\p?mod|\\bmod|\\(?:equiv|mid|to|rightarrow|Rightarrow|implies|mp|pm|approx|sim|cong|propto)(?![a-z])"
    r"|[0-9]\s+[0-9]|(?<![a-zA-Z}\])_])[0-9]+\s*_|[^\x00-\x7f]|[\"@#?`]|\\(?:forall|exists|neg|not|text\{[^{}]*[0-9])|--|\+\+|%"
    r"|\^\s*\{?\s*\\top|'\s*[0-9]"
)
_FUNCTIONS = "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp lim sum prod int max min gcd det"
_FACTOR = re.compile(
    r"((?<![_^])(?<![_^][0-9])[0-9])\s*(?=\(|\\binom|\\Gamma|\\gcd)|(\))\s*(?=\(|\\frac|\\binom)"
    r"|(\\frac\{[^{}]*\}\{[^{}]*\})\s*(?=\(|\\frac|\\binom)"
)
_CALL = re.compile(
    r"(\\(?:sin|cos|tan|cot|sec|csc|ln|log|arcsin|arccos|arctan|sinh|cosh|tanh)(?:_\{[^{}]*\}|_\w)?(?:\^\{[^{}]*\}|\^\w)?)"
    r"\s*([0-9]*\s*(?:[a-zA-Z]|\\(?:theta|alpha|beta|pi|phi|omega))|[0-9]+)\s*(?=\\cdot|\\times|/)"
)
_IMAGINARY = re.compile(r"(?<=[\s{(=,+\-0-9)}])i(?=[\s{})=,+\-0-9\\^]|$)")
_SUBSCRIPTED = re.compile(
    r"(\\(?:vec|hat|bar|tilde|overline|overrightarrow|widehat|mathcal|text|mathbb)\s*(?:\{[^{}]*\}|[a-zA-Z])|\\[a-zA-Z]+|[a-zA-Z])"
    r"(?:\s*_\s*(\{(?:[^{}]|\{[^{}]*\})*\}|\\[a-zA-Z]+|[0-9a-zA-Z]))?(\s*'+)?"
)
_POINTS = 16
_NEEDED = 4
_DIGITS = 60
_MAX_DIGITS = 4000
_STRUCTURES = ("Sum", "Product", "Limit", "Integral", "Derivative")


class UnreadableFormulaError(ValueError):
    """No parser reads it: only its text can be compared."""


def as_number(text: str) -> Any:
    """A plain integer, decimal or fraction of integers as an exact rational; None for anything else."""
    from sympy import Rational

    match = _NUMBER.fullmatch(text.strip())
    if match:
        return Rational(match[0].replace(" ", "")) if len(match[0]) < _MAX_DIGITS else None
    match = _FRACTION.fullmatch(text.strip())
    if match and int(match[3] or match[5]):
        value = Rational(int(match[2] or match[4]), int(match[3] or match[5]))
        return -value if match[1] == "-" else value
    return None


@lru_cache(maxsize=2048)
def parse(text: str) -> Any:
    """The sympy object of a normalized formula.

    Raises:
        UnreadableFormulaError: it is no formula, or one that the parser would misread.
    """
    number = as_number(text)
    if number is not None:
        return number
    text = re.sub(r"([_^])\s*([0-9a-zA-Z])(?![0-9])", r"\1{\2}", text)
    if not text or _UNREADABLE.search(text):
        raise UnreadableFormulaError(text)
    from latex2sympy2_extended.latex2sympy2 import ConversionConfig, latex2sympy
    from math_verify.grader import should_treat_as_complex

    plain = _plain(text)
    if "'" in plain:
        raise UnreadableFormulaError(text)
    try:
        found = latex2sympy(
            plain,
            is_real=not should_treat_as_complex(text),
            normalization_config=None,
            conversion_config=ConversionConfig(lowercase_symbols=False),
        )
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # the parser raises bare exceptions of its own
        raise UnreadableFormulaError(text) from error
    return _exact(found)


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


def is_arithmetic(found: Any) -> bool:
    """Whether a formula is a number or plain arithmetic on numbers: no root, function, sum or limit."""
    from sympy import Abs, Add, Mul, Number, Pow, UnevaluatedExpr, binomial, factorial

    if isinstance(found, Pow) and not found.exp.is_Integer and not is_arithmetic(found.exp):
        return False
    if isinstance(found, Pow) and found.exp.is_Rational and not found.exp.is_Integer:
        return False
    if isinstance(found, Number):
        return bool(found.is_finite)
    allowed = (Add, Mul, Pow, Abs, UnevaluatedExpr, binomial, factorial)
    return isinstance(found, allowed) and all(is_arithmetic(argument) for argument in found.args)


def is_constant_in_names(found: Any) -> bool:
    """Whether a formula names symbols that cancel (`x - x`)."""
    return bool(getattr(found, "free_symbols", ())) and not found.doit().free_symbols


def asks_for_work(found: Any) -> bool:
    """Whether a formula leaves a sum, limit, maximum or the like to be worked out."""
    from sympy import Integral, Limit, Max, Min, Mod, Product, Sum

    kinds = (Sum, Product, Limit, Integral, Max, Min, Mod)
    return isinstance(found, kinds) or (hasattr(found, "has") and bool(found.has(*kinds)))


def _plain(text: str) -> str:
    """The text without what latex2sympy2 misreads."""
    text = _MIXED.sub(_mixed, text)
    # A number before a bracket is a factor; the parser takes `3(5)` for a mixed number.
    text = _FACTOR.sub(lambda match: match[0].rstrip() + r" \cdot ", text)
    # `\\sin x \\cdot y` and `\\ln 2 / 3` end the argument at the sign; the parser would take all of it.
    text = _CALL.sub(r"\1(\2) ", text)
    text = _SUBSCRIPTED.sub(_symbol, text)
    if not re.search(r"(?<![a-zA-Z])i\s*=", text):  # there it counts the terms of a sum
        text = _IMAGINARY.sub("I", f" {text}").strip()
    return re.sub(r"\\exp\s*\{", r"e^{", text)


def _mixed(match: re.Match[str]) -> str:
    whole, top, bottom = int(match[1]), int(match[2]), int(match[3])
    if 0 < top < bottom:
        return rf"\frac{{{whole * bottom + top}}}{{{bottom}}}"
    return rf"{whole} \cdot \frac{{{top}}}{{{bottom}}}"


def _symbol(match: re.Match[str]) -> str:
    r"""A name that the parser reads as one symbol: `E_1`, `x'`, `\vec{v}`, `\gamma` and `m_{\max}` are not."""
    base, subscript, primes = match[1], match[2] or "", match[3] or ""
    command = base[1:] if base.startswith("\\") else ""
    if command in _FUNCTIONS.split() or command in ("frac", "sqrt", "binom", "cdot", "times", "pi", "infty", "begin", "end"):
        return match[0]
    is_accented = bool(re.match(r"\\(?:vec|hat|bar|tilde|overline|overrightarrow|widehat|mathcal|text)", base))
    if not (subscript or primes or is_accented or command in ("gamma", "hbar", "ell", "zeta") or base in ("E", "I")):
        return match[0]
    if command == "zeta" and not subscript:
        return match[0]
    if base.startswith("\\mathbb"):
        return match[0]
    spelled = re.sub(r"[\s{}\\]|text", "", base + subscript + primes.strip())
    return rf"\text{{Z{''.join(_spelling(sign) for sign in spelled)}}}"


def _spelling(sign: str) -> str:
    """A sign inside a name by letters and digits, so that different names stay different."""
    return sign if sign.isalnum() else f"Q{ord(sign)}"


def _exact(found: Any) -> Any:
    r"""Calls of unknown functions as symbols, and `\zeta` as sympy's."""
    from sympy import Basic, Symbol, zeta
    from sympy.core.function import AppliedUndef

    if not isinstance(found, Basic):
        return found
    found = found.replace(lambda e: isinstance(e, AppliedUndef) and e.func.__name__ == "\\zeta", lambda e: zeta(*e.args))
    return found.replace(lambda e: isinstance(e, AppliedUndef), lambda e: Symbol(str(e), real=True))


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
        rows.append((each.shape, list(each)) if isinstance(each, MatrixBase) else (None, _elements(each)))
    (left_shape, left), (right_shape, right) = rows
    if left is None or right is None or len(left) != len(right):
        return False
    is_same = left_shape == right_shape or (None in (left_shape, right_shape) and (left_shape or right_shape)[1] == 1)
    return is_same and all(is_equal(g, a, decimals=decimals) for g, a in zip(left, right, strict=True))


def _same_set(gold: Any, answer: Any) -> bool:
    from sympy import Float, Rational

    left, right = (each.replace(lambda e: isinstance(e, Float), lambda e: Rational(str(e))).doit() for each in (gold, answer))
    if left == right:
        return True
    try:
        return left.symmetric_difference(right).is_empty is True
    except (TypeError, NotImplementedError, ValueError):
        return False


def _same_value(gold: Any, answer: Any, decimals: int) -> bool:
    from sympy import Basic, Float, Rational, nan, zoo

    if not isinstance(gold, Basic) or not isinstance(answer, Basic) or {type(gold), type(answer)} & {str}:
        return False
    left, right = (each.replace(lambda e: isinstance(e, Float), lambda e: Rational(str(e))) for each in (gold, answer))
    if any(each.has(nan, zoo) for each in (left, right)):
        return False
    if left == right:
        return True
    if not left.free_symbols:
        left, right = left.doit(), right.doit()
    if left == right:
        return True
    if left.has(nan, zoo) or right.has(nan, zoo):
        return False
    if left.is_Rational and right.is_Rational:
        return _is_rounding(right, left, decimals) if not left.is_Integer else False
    if not hasattr(left, "evalf") or not hasattr(right, "evalf") or left.is_Relational or right.is_Relational:
        return False
    if not left.free_symbols and not right.free_symbols:
        return _same_constant(left, right, decimals)
    return left.free_symbols == right.free_symbols and _same_function(left, right)


def _same_constant(left: Any, right: Any, decimals: int) -> bool:
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
    places = 0
    while (decimal * 10**places).q != 1:
        places += 1
        if places > _DIGITS or set(_primes(decimal.q)) - {2, 5}:
            return False
    digits = len(str(abs((decimal * 10**places).p)))
    return places >= decimals and digits >= decimals and bool(abs(exact - decimal) * 2 * 10**places <= 1)


def _primes(number: int) -> list[int]:
    rest = number
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return [2, 5] if rest == 1 else [rest]


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


def text_equal(gold: str, answer: str) -> bool:
    """Whether two normalized formulas are the same text but for spaces and idle braces."""
    return canonical(gold) == canonical(answer)
