"""Two values as they are written: percent and degree signs, ratios, tolerances and names settled, then compared."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from mel.verify.equality import is_equal
from mel.verify.formula import (
    UnreadableFormulaError,
    asks_for_work,
    is_arithmetic,
    is_constant_in_names,
    parse,
    text_equal,
)
from mel.verify.reading import Part, split_at
from mel.verify.words import canonical_words, split_letter_unit, words_agree

LETTER = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]")
_WORK = re.compile(r"\\(?:gcd|lcm|max|min|det|lim|sum|prod|int|bmod|mod)(?![a-zA-Z])|operatorname|vmatrix")
_INTEGER_NAME = re.compile(r"(?<![\\a-zA-Z{_])([knml])(?![a-zA-Z}])")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """How the task compares.

    Args:
        decimals: places to which a decimal must be the rounding of an exact gold.
        tolerance: largest absolute difference to a numeric gold that still counts; 0 for none.
        is_strict: names of variables matter.
        has_parts: the gold lists several answers; a tuple may list them too.
        is_percent_free: `10%` answers a gold `10`, because the problem asks for a percentage.
        has_inequalities: an inequality may answer an interval.
    """

    decimals: int = 6
    tolerance: float = 0.0
    is_strict: bool = True
    has_parts: bool = False
    is_percent_free: bool = False
    has_inequalities: bool = True


class UnreadableGoldError(ValueError):
    """The gold is no value: the data's fault."""


class UnreadableAnswerError(ValueError):
    """The answer is no formula and not the gold's text."""


def same_side(gold: Part, answer: Part, rules: Rules) -> bool:
    """Whether two sides have one value, with their percent and degree signs."""
    formula = answer.formula
    if not LETTER.search(gold.formula) and "\\" not in re.sub(r"\\(?:frac|cdot|times|sqrt)", "", gold.formula):
        number, unit = split_letter_unit(formula)
        formula = number if words_agree(gold.words, (*answer.words, *unit)) else formula
    is_angle = gold.is_degrees != answer.is_degrees and (_is_in_radians(gold) or _is_in_radians(answer))
    if text_equal(gold.formula, formula) and not is_angle:
        return gold.is_percent == answer.is_percent or rules.is_percent_free
    return any(same_value(left, right, rules) for left, right in _pairs(gold, replace(answer, formula=formula), rules))


def _is_in_radians(part: Part) -> bool:
    return not part.is_degrees and ("\\pi" in part.formula or "rad" in canonical_words(part.words))


def _pairs(gold: Part, answer: Part, rules: Rules) -> list[tuple[str, str]]:
    """The values to compare, given who writes a percent or a degree sign."""
    left, right = gold.formula, answer.formula
    if gold.is_percent != answer.is_percent:
        whole = (left, rf"\frac{{{right}}}{{100}}") if answer.is_percent else (rf"\frac{{{left}}}{{100}}", right)
        return [whole, (left, right)] if rules.is_percent_free else [whole]
    if gold.is_degrees != answer.is_degrees and (_is_in_radians(gold) or _is_in_radians(answer)):
        radians = rf"\frac{{({right if answer.is_degrees else left}) \cdot \pi}}{{180}}"
        return [(left, radians) if answer.is_degrees else (radians, right)]
    return [(left, right)]


def same_value(gold: str, answer: str, rules: Rules) -> bool:
    """Whether two formulas have one value.

    A sum, limit or maximum that the gold does not leave open is no answer, and a rational number is answered by
    arithmetic on numbers only.
    """
    if ":" in gold or ":" in answer:
        return _same_ratio(gold, answer, rules)
    left, right = _parsed(gold, answer)
    if (asks_for_work(right) or _WORK.search(answer)) and not (asks_for_work(left) or _WORK.search(gold)):
        return False
    if is_arithmetic(left) and not (is_arithmetic(right) or _is_exact_root(left) or is_constant_in_names(right)):
        return False
    if is_equal(left, right, decimals=rules.decimals) or _is_near(left, right, rules.tolerance):
        return True
    return _is_renamed(gold, answer, left, right, rules)


def _parsed(gold: str, answer: str) -> tuple[Any, Any]:
    try:
        left = parse(gold)
    except UnreadableFormulaError as error:
        raise UnreadableGoldError(gold) from error
    try:
        return left, parse(answer)
    except UnreadableFormulaError as error:
        raise UnreadableAnswerError(answer) from error


def _is_exact_root(gold: Any) -> bool:
    r"""A decimal gold with all its places may be answered by what it is the rounding of (`1.414214`, `\sqrt2`)."""
    return bool(gold.is_Rational) and gold.q % 10 == 0


def _same_ratio(gold: str, answer: str, rules: Rules) -> bool:
    left, right = split_at(gold, ":"), split_at(answer, ":")
    return len(left) == len(right) and all(same_value(g, a, rules) for g, a in zip(left, right, strict=True))


def _is_near(gold: Any, answer: Any, tolerance: float) -> bool:
    """Whether two numbers differ by the published tolerance at most."""
    if not tolerance:
        return False
    try:
        # The slack admits a difference that equals the tolerance but for rounding.
        return abs(float(gold) - float(answer)) <= tolerance * (1 + 1e-9)
    except (TypeError, ValueError, OverflowError):
        return False


def _is_renamed(gold: str, answer: str, left: Any, right: Any, rules: Rules) -> bool:
    r"""The same but for names: those of a family of angles (`k\pi` and `n\pi`) always, any if names do not count."""
    ours, theirs = (sorted(getattr(each, "free_symbols", ()), key=str) for each in (left, right))
    if not ours or len(ours) != len(theirs) or ours == theirs:
        return False
    is_family = "\\pi" in gold and "\\pi" in answer and len(ours) == 1
    is_family = is_family and all(_INTEGER_NAME.search(text) for text in (gold, answer))
    if rules.is_strict and not is_family:
        return False
    renamed = right.subs(dict(zip(theirs, ours, strict=True)), simultaneous=True)
    return is_equal(left, renamed, decimals=rules.decimals)
