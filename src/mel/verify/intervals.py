r"""Inequalities and described sets as intervals: `-2 \le x < 1` and `\{x \mid -2 \le x < 1\}` are `[-2, 1)`."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SIGN = re.compile(r"\\le(?![a-zA-Z])|\\ge(?![a-zA-Z])|\\neq(?![a-zA-Z])|[<>]")
_VARIABLE = re.compile(r"\s*(?:[a-zA-Z]|\\[a-zA-Z]+|[a-zA-Z]\([a-zA-Z]\))(?:_(?:\w|\{\w+\}))?\s*")
_DESCRIBED = re.compile(r"\\\{\s*([a-zA-Z](?:\s*\\in\s*\\mathbb\s*\{R\})?)\s*(?:\||\\mid|:|\\colon)(.*?)\\\}")
_NUMBERS_ONLY = re.compile(r"\\(?:frac|sqrt|pi|infty|ln|log|cdot|times)(?![a-zA-Z])|[\s0-9.{}()+\-/^e\[\]]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Described:
    """A set of numbers as `formula` in interval notation, and the `variable` that described it (may be empty)."""

    formula: str
    variable: str


def as_interval(text: str) -> Described | None:
    """The interval that an inequality in one variable with constant bounds describes; None for anything else."""
    if "\\{" in text:
        return _described_sets(text)
    signs = [match[0].strip() for match in _SIGN.finditer(text)]
    sides = _SIGN.split(text)
    if len(signs) == 1 and len(sides) == 2:
        return _one_sided(sides[0], signs[0], sides[1])
    if len(signs) == 2 and len(sides) == 3 and _VARIABLE.fullmatch(sides[1]):
        return _two_sided(sides, signs)
    return None


def _described_sets(text: str) -> Described | None:
    found = list(_DESCRIBED.finditer(text))
    if not found:
        return None
    variable = found[0][1][0]
    for match in reversed(found):
        inner = as_interval(match[2])
        if inner is None or inner.variable.strip() != match[1][0]:
            return None
        text = text[: match.start()] + inner.formula + text[match.end() :]
    return Described(formula=re.sub(r"(?<=[)\]}])\s*-\s*(?=\\\{|[(\[])", r" \\setminus ", text), variable=variable)


def _one_sided(left: str, sign: str, right: str) -> Described | None:
    if not _VARIABLE.fullmatch(left):
        left, right = right, left
        sign = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}.get(sign, sign)
    if not _VARIABLE.fullmatch(left) or not _is_constant(right):
        return None
    bound = right.strip()
    formula = {
        "<": rf"(-\infty,{bound})",
        "\\le": rf"(-\infty,{bound}]",
        ">": rf"({bound},\infty)",
        "\\ge": rf"[{bound},\infty)",
        "\\neq": rf"(-\infty,{bound})\cup({bound},\infty)",
    }[sign]
    return Described(formula=formula, variable=left.strip())


def _two_sided(sides: list[str], signs: list[str]) -> Described | None:
    low, variable, high = (side.strip() for side in sides)
    if not (_is_constant(low) and _is_constant(high)):
        return None
    kinds = {sign[0] if sign in "<>" else sign for sign in signs}
    if kinds <= {">", "\\ge"}:
        low, high, signs = high, low, signs[::-1]
    elif not kinds <= {"<", "\\le"}:
        return None
    opening = "(" if signs[0] in ("<", ">") else "["
    closing = ")" if signs[1] in ("<", ">") else "]"
    return Described(formula=f"{opening}{low},{high}{closing}", variable=variable)


def _is_constant(text: str) -> bool:
    return bool(text.strip()) and not _NUMBERS_ONLY.sub("", text)
