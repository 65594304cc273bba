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
_MAX_DIGITS = 4000


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
    if command in _FUNCTIONS.split() or command in (
        "frac",
        "sqrt",
        "binom",
        "cdot",
        "times",
        "pi",
        "infty",
        "begin",
        "end",
    ):
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
    found = found.replace(
        lambda e: isinstance(e, AppliedUndef) and e.func.__name__ == "\\zeta", lambda e: zeta(*e.args)
    )
    return found.replace(lambda e: isinstance(e, AppliedUndef), lambda e: Symbol(str(e), real=True))


def text_equal(gold: str, answer: str) -> bool:
    """Whether two normalized formulas are the same text but for spaces and idle braces."""
    return canonical(gold) == canonical(answer)
