"""Steps of puzzles with numbers: each step must hold, and must leave the right result within reach."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import combinations

from mel.tasks.puzzles.entry import Entry

_NUMBER = r"(-?\d+(?:/\d+)?)"
_EQUATION = re.compile(rf"\(?{_NUMBER}\)?\s*([-+*/x\u00d7\u00f7])\s*\(?{_NUMBER}\)?\s*=\s*\(?{_NUMBER}\)?")
_SIGNS = {"x": "*", "\u00d7": "*", "\u00f7": "/"}

MOST_LEFT = 5
"""Numbers of a countdown that are searched for a way to the target; more take too long."""


def first_wrong_total(entry: Entry, steps: Sequence[str]) -> int | None:
    """Of a chain sum: step k ends in the total of the first k + 1 terms, and any sum that it states holds."""
    terms = [int(t) for t in re.findall(r"(?:(?<=^)|(?<=[-+] ))-?\d+", entry.metadata["expression"])]
    signs = re.findall(r"(?<=\d) ([-+]) ", entry.metadata["expression"])
    total = terms[0]
    for number, (sign, term) in enumerate(zip(signs, terms[1:], strict=True), 1):
        total += term if sign == "+" else -term
        if number > len(steps) or not _ends_in(steps[number - 1], total):
            return number
    return len(signs) + 1 if len(steps) > len(signs) else None


def _ends_in(step: str, total: int) -> bool:
    numbers = re.findall(r"(?<![\d.])-?\d+", step.replace(",", ""))
    return bool(numbers) and int(numbers[-1]) == total and all(holds for *_, holds in _equations(step))


def first_wrong_expression(entry: Entry, steps: Sequence[str]) -> int | None:
    """Of basic arithmetic: a step is what is left of the expression, and must be worth what the whole is.

    The last step must be a number.
    """
    wanted = int(entry.answer)
    for number, step in enumerate(steps, 1):
        if value_of(step) != wanted:
            return number
    return None if steps and re.fullmatch(r"\(?-?\d+\)?", steps[-1].strip()) else len(steps) + 1


def first_wrong_operation(entry: Entry, steps: Sequence[str]) -> int | None:
    """Of countdown: a step takes two of the numbers that are left and puts the result in their place (`75 - 5 = 70`).

    It is wrong if they are not there, if it does not hold, or if no way leads from it to the target any more. With
    more than `MOST_LEFT` numbers left the last is not looked at.
    """
    left = [Fraction(n) for n in entry.metadata["numbers"]]
    target = Fraction(entry.metadata["target"])
    for number, step in enumerate(steps, 1):
        found = _equations(step)
        if len(found) != 1:
            return number
        a, b, result, holds = found[0]
        if not holds or not _taken(left, a, b):
            return number
        left.append(result)
        if len(left) <= MOST_LEFT and not can_reach(tuple(sorted(left)), target):
            return number
    return None if left == [target] else len(steps) + 1


def _taken(left: list[Fraction], a: Fraction, b: Fraction) -> bool:
    """Whether both were there; they are gone then."""
    for n in (a, b):
        if n not in left:
            return False
        left.remove(n)
    return True


def _equations(step: str) -> list[tuple[Fraction, Fraction, Fraction, bool]]:
    """(left, right, stated result, whether it holds) of each `a + b = c`."""
    found = []
    for a, sign, b, c in _EQUATION.findall(step.replace(",", "")):
        left, right, stated = (_fraction(n) for n in (a, b, c))
        results = dict(_results(left, right))
        found.append((left, right, stated, results.get(_SIGNS.get(str(sign), str(sign))) == stated))
    return found


def _fraction(text: str) -> Fraction:
    top, _, bottom = text.partition("/")
    return Fraction(int(top), int(bottom or 1) or 1)


def _results(a: Fraction, b: Fraction) -> Iterator[tuple[str, Fraction]]:
    yield "+", a + b
    yield "-", a - b
    yield "*", a * b
    if b:
        yield "/", a / b


@lru_cache(maxsize=100_000)
def can_reach(numbers: tuple[Fraction, ...], target: Fraction) -> bool:
    """Whether some way of combining all the numbers gives the target."""
    if len(numbers) == 1:
        return numbers[0] == target
    for i, j in combinations(range(len(numbers)), 2):
        rest = [n for k, n in enumerate(numbers) if k not in (i, j)]
        pair = numbers[i], numbers[j]
        results = {r for a, b in (pair, pair[::-1]) for _, r in _results(a, b)}
        if any(can_reach(tuple(sorted([*rest, r])), target) for r in results):
            return True
    return False


def value_of(expression: str) -> int | None:
    """Of an expression with + - * / and parentheses, where / leaves the remainder out; None if it is none.

    Nothing is executed: model output is read by Python's parser and evaluated here.
    """
    if len(expression) > 500 or "**" in expression or "//" in expression:
        return None
    try:
        return _value(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def _value(node: ast.AST) -> int:
    match node:
        case ast.Constant(value=int(n)) if not isinstance(n, bool):
            return n
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _value(left), _value(right)
            match op:
                case ast.Add():
                    return a + b
                case ast.Sub():
                    return a - b
                case ast.Mult():
                    return a * b
                case ast.Div():
                    return a // b
    raise ValueError("expected numbers, + - * / and parentheses")
