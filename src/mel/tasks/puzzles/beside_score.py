"""What a right answer is besides scoring 1, of data sets whose own score takes wrong answers for right ones.

Some read a part of the answer only, and some give the whole score to one answer whatever the puzzle: `nan`, `0`, or any
text at all. What is asked for here comes on top of the score, and never in its place.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from fractions import Fraction

from mel.tasks.puzzles.entry import Entry

_CODE = re.compile(r"#|\b(?:or|and|not|if|else|for|in|is|lambda)\b")
_FRACTION = re.compile(r"\$*\s*(?:\\d?frac\s*\{\s*\d+\s*\}\s*\{\s*\d+\s*\}|\d+\s*/\s*\d+)\s*\$*", re.IGNORECASE)
_ONE_NUMBER = re.compile(r"\$?\s*(-?\d+(?:\.\d+)?)(?:\s*%|\s+[A-Za-z]+)?\.?")

_TOLERANCE = Fraction(1, 10_000)
"""Of a probability, as the data set says it; written with four places it may be half of one off."""


def holds_beside_score(dataset: str, answer: str, entry: Entry) -> bool:
    """Whether an answer that scores 1 is right for all that is known here."""
    check = _CHECKS.get(dataset)
    return check is None or check(answer.strip(), entry)


def _uses_all_numbers(answer: str, entry: Entry) -> bool:
    """An expression of the puzzle's numbers, each once, with + - * / and parentheses and nothing else."""
    wanted = Fraction(entry.metadata.get("target", 24))
    try:
        tree = ast.parse(answer, mode="eval").body
        value = _exact(tree)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return False
    used = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    # A comment is no part of the tree: what is used is what is counted.
    return value == wanted and sorted(used) == sorted(entry.metadata["numbers"])  # pyright: ignore[reportArgumentType]


def _exact(node: ast.AST) -> Fraction:
    match node:
        case ast.Constant(value=int(n)) if not isinstance(n, bool):
            return Fraction(n)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_exact(operand)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _exact(left) + _exact(right)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return _exact(left) - _exact(right)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _exact(left) * _exact(right)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _exact(left) / _exact(right)
    raise ValueError("expected whole numbers, + - * / and parentheses")


def _is_near(answer: str, entry: Entry) -> bool:
    """A probability; the data set gives the whole score to the first figures of one, too."""
    try:
        return abs(Fraction(answer.replace(",", "")) - Fraction(entry.answer)) <= _TOLERANCE
    except (ValueError, ZeroDivisionError):
        return False


def _is_the_number(answer: str, entry: Entry) -> bool:
    """One number, with its sign; the data set reads the first figures without it."""
    found = _ONE_NUMBER.fullmatch(answer)
    return found is not None and Fraction(found[1]) == Fraction(entry.answer)


def _is_the_word(answer: str, entry: Entry) -> bool:
    return answer.rstrip(".").casefold() == entry.answer.strip().casefold()


def _is_a_number(answer: str, entry: Entry) -> bool:
    """No distance to `nan` is far."""
    del entry
    return "nan" not in answer.casefold()


def _is_no_code(answer: str, entry: Entry) -> bool:
    """An expression, of which Python would otherwise drop a part (`x or 7`, `x # 7`)."""
    del entry
    return _CODE.search(answer) is None


def _is_a_fraction(answer: str, entry: Entry) -> bool:
    """One fraction, with nothing behind it; the data set reads the first."""
    del entry
    return _FRACTION.fullmatch(answer) is not None


_CHECKS: Mapping[str, Callable[[str, Entry], bool]] = {
    "coin_flip": _is_near,
    "complex_arithmetic": _is_a_number,
    "countdown": _uses_all_numbers,
    "fraction_simplification": _is_a_fraction,
    "game_of_life_halting": _is_the_word,
    "gsm_symbolic": _is_the_number,
    "intermediate_integration": _is_no_code,
    "polynomial_multiplication": _is_no_code,
    "puzzle24": _uses_all_numbers,
    "simple_integration": _is_no_code,
}
"""Data set -> the check. All others are right where they score 1."""
