"""What a right answer is besides scoring 1, of data sets whose own score takes wrong answers for right ones.

Some read a part of the answer only, some add up parts of a score until they make a whole one, and some give it to one
answer whatever the puzzle: `nan`, `0`, or any text at all. What is asked for here comes on top of the score, and never
in its place.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from fractions import Fraction

from mel.tasks.puzzles.entry import Entry

_CODE = re.compile(r"#|\b(?:or|and|not|if|else|for|in|is|lambda)\b")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"
_CLAIM = r"\w+\s+is\s+an?\s+\w+"
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


def _has_form(pattern: str) -> Callable[[str, Entry], bool]:
    """A check that an answer has this form as a whole, where the data set reads what fits in it and drops the rest."""
    form = re.compile(pattern, re.IGNORECASE)
    return lambda answer, _: form.fullmatch(answer) is not None


_is_a_point = _has_form(rf"\(?\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\)?")


def _is_one_of_geometry(answer: str, entry: Entry) -> bool:
    """A point where one is asked for; the data set reads the first two numbers."""
    return entry.metadata["task_type"] != "orthocenter" or _is_a_point(answer, entry)


def _is_the_sentence(answer: str, entry: Entry) -> bool:
    """The words and no others; the data set adds up the words that are right."""
    return answer.casefold().split() == entry.answer.casefold().split()


def _is_the_spelling(answer: str, entry: Entry) -> bool:
    """The word without its spaces; of a long one the data set wants ten letters only."""
    return answer.replace(" ", "").casefold() == entry.answer.strip().casefold()


def _is_the_list(answer: str, entry: Entry) -> bool:
    """The words in their order and no others; the data set adds up those that are right."""
    return [word.strip() for word in answer.split(",")] == entry.metadata["sorted_words"]


def _are_the_numbers(answer: str, entry: Entry) -> bool:
    """The numbers in their order; for the data set each may be one off."""
    ours, theirs = (json.loads(text.replace("'", '"')) for text in (answer, entry.answer))
    return list(map(float, ours)) == list(map(float, theirs))


_are_numbers = _has_form(rf"{_NUMBER}(?:\s*,\s*{_NUMBER})*")


def _are_the_roots(answer: str, entry: Entry) -> bool:
    """Numbers, or the empty text where there are none; the data set drops what it cannot read."""
    return _are_numbers(answer, entry) if entry.answer.strip() else answer in ('""', "''")


_CHECKS: Mapping[str, Callable[[str, Entry], bool]] = {
    "advanced_geometry": _is_one_of_geometry,
    "coin_flip": _is_near,
    "complex_arithmetic": _is_a_number,
    "countdown": _uses_all_numbers,
    "figlet_font": _is_the_spelling,
    "fraction_simplification": _has_form(r"\$*\s*(?:\\d?frac\s*\{\s*\d+\s*\}\s*\{\s*\d+\s*\}|\d+\s*/\s*\d+)\s*\$*"),
    "game_of_life_halting": _is_the_word,
    "gsm_symbolic": _is_the_number,
    "intermediate_integration": _is_no_code,
    "kakurasu": _has_form(r"[01\s,\[\]]+"),
    "knights_knaves": _has_form(rf"{_CLAIM}(?:(?:,\s*(?:and\s+)?|\s+and\s+){_CLAIM})*\.?"),
    "letter_jumble": _is_the_sentence,
    "number_sorting": _are_the_numbers,
    "polynomial_equations": _are_the_roots,
    "polynomial_multiplication": _is_no_code,
    "puzzle24": _uses_all_numbers,
    "simple_integration": _is_no_code,
    "sokoban": _has_form(r"[UDLR\s,]+"),
    "survo": _has_form(r"[-+\d\s]+"),
    "time_intervals": _has_form(r"(?:\d+\s+days?(?:,\s*)?)?[\d:.]*"),
    "word_sorting": _is_the_list,
}
"""Data set -> the check. All others are right where they score 1."""
