r"""Whether an answer states what the gold states: every part of both is accounted for, or it is wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from mel.verify.formula import UnreadableFormulaError, as_number, asks_for_work, is_arithmetic, is_constant_in_names, is_equal, parse, text_equal
from mel.verify.notation import canonical, normalized
from mel.verify.reading import Part, Reading, is_name, read, sides_of, split_at
from mel.verify.relations import same_relation
from mel.verify.words import canonical_words, without_letter_unit, words_agree

_MAX_PARTS = 40
_CHOICE = re.compile(r"\(?([A-J])\)?")
_CHOSEN = re.compile(r"(?:\\text\s*\{)?\s*(?:\(([A-J])\)|([A-J])[).:])\s*\}?\s*(?=\S)")
_OTHER_CHOICE = re.compile(r"(?<![a-zA-Z\\])[A-J](?:[).:]|\s*$)|\b(?:or|and|not|no|wrong|incorrect|false|but)\b")
_PLACEHOLDERS = frozenset(("see solution", "see the solution", "see above", "solution", "proof", "none given", "unknown", "n/a", "na", "todo"))
_WORK = re.compile(r"\\(?:gcd|lcm|max|min|det|lim|sum|prod|int|bmod|mod)(?![a-zA-Z])|operatorname")
_OPERATION = re.compile(r"[-+*/^!]|\\(?:cdot|times|div|sqrt|frac|dfrac|tfrac|sum|prod|int|lim|binom|log|ln|sin|cos|tan)")
_SPAN = re.compile(r"\$\$(.+?)\$\$|\$([^$]+)\$|\\\[(.+?)\\\]|\\\((.+?)\\\)", re.DOTALL)
_LETTER = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]")
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


def agree(gold_text: str, answer_text: str, rules: Rules) -> bool:
    """Whether the answer is right.

    Raises:
        UnreadableGoldError: the gold is a placeholder, or a formula that cannot be read and is not the answer's text.
        UnreadableAnswerError: the same for the answer.
    """
    gold, answer = read(gold_text), read(answer_text)
    _require_a_value(gold, gold_text)
    if gold.text == answer.text and answer.text:
        return True
    letters = _letters(gold_text)
    if letters:
        return _same_choice(letters, answer_text)
    if not answer.parts:
        raise UnreadableAnswerError(answer_text)
    golds, answers = _without_conditions(gold.parts, answer.parts)
    if not rules.has_inequalities and "\\in" in gold.text and re.search(r"[<>]|\\[lg]e(?![a-z])", answer.text):
        return False
    if len(answers) > len(golds):
        answers = _without_repetition(golds, answers)
    if len(golds) != len(answers):
        return _as_tuple(gold, answer, rules) or _as_set(golds, answers, rules) or _as_equation(gold, answer)
    if len(golds) > _MAX_PARTS:
        return False
    if len(golds) == 1:
        if _same_part(golds[0], answers[0], rules):
            return True
        is_solved = golds[0].label and not _LETTER.search(golds[0].formula)
        return not is_solved and _as_equation(gold, answer)
    return _same_list(gold, golds, answers, rules) or _as_set(golds, answers, rules)


def is_placeholder(gold: str) -> bool:
    """Whether a gold states nothing: empty, punctuation only, or a word that points elsewhere."""
    return not re.search(r"[^\W_]|\\|[^\x00-\x7f]", gold) or gold.strip(" .$").lower() in _PLACEHOLDERS


def repeats_the_problem(answer: str, *, gold: str, question: str) -> bool:
    r"""Whether an answer is a formula of the question, copied: `17 \times 23` where 391 was asked for.

    A number, a fraction and a name are values that a question may well contain; an operation is what it asks for.
    """
    if not question or not _OPERATION.search(answer):
        return False
    copied = canonical(normalized(answer))
    return copied in _formulas(question) and as_number(normalized(answer)) is None and copied != canonical(normalized(gold))


@lru_cache(maxsize=512)
def _formulas(question: str) -> frozenset[str]:
    """The formulas of a question, whole and side by side, in canonical notation."""
    found: set[str] = set()
    for match in _SPAN.finditer(question):
        whole = normalized(next(filter(None, match.groups())))
        found |= {canonical(piece) for piece in (whole, *sides_of(whole))}
    return frozenset(found)


def _require_a_value(gold: Reading, text: str) -> None:
    if is_placeholder(text) or is_placeholder(gold.plain):
        raise UnreadableGoldError(text)
    words = [word for part in gold.parts for word in part.words if not part.formula]
    if not gold.parts or " ".join(words).lower() in _PLACEHOLDERS:
        raise UnreadableGoldError(text)


def _letters(gold: str) -> str:
    """The letter or letters of a multiple choice that the gold is; empty if it is something else."""
    bare = re.sub(r"\\text\s*\{\s*([^{}]*)\}", r"\1", normalized(gold)).strip()
    match = _CHOICE.fullmatch(bare)
    if match:
        return match[1]
    return bare if re.fullmatch("[A-F]{2,6}", bare) and list(bare) == sorted(set(bare)) else ""


def _same_choice(letters: str, answer: str) -> bool:
    bare = re.sub(r"\\text\s*\{\s*([^{}]*)\}", r"\1 ", normalized(answer)).strip()
    if len(letters) == 1:
        chosen = _CHOSEN.match(bare)
        if chosen:
            return not _OTHER_CHOICE.search(bare[chosen.end() :]) and (chosen[1] or chosen[2]) == letters
        return bool(re.fullmatch(rf"\(?{letters}\)?", bare, re.IGNORECASE))
    found = re.sub(r"[\s,;()]|\band\b", "", bare)
    return found.isalpha() and sorted(found.upper()) == sorted(letters) and found.upper() == found


def _without_conditions(golds: Sequence[Part], answers: Sequence[Part]) -> tuple[list[Part], list[Part]]:
    r"""Both without `k \in \mathbb{Z}`, which one may state and the other imply; two that differ stay."""
    left = {(part.label, part.formula) for part in golds if part.is_condition}
    right = {(part.label, part.formula) for part in answers if part.is_condition}
    if (left and right and left != right) or len(left) == len(golds) or len(right) == len(answers):
        return list(golds), list(answers)
    return [p for p in golds if not p.is_condition], [p for p in answers if not p.is_condition]


def _without_repetition(golds: list[Part], answers: list[Part]) -> list[Part]:
    """An answer that says a value twice (`42 or 42`) says it once, unless the gold itself counts it twice."""
    if len(answers) > _MAX_PARTS or len(_distinct(golds)) < len(golds):
        return answers
    return _distinct(answers)


def _distinct(parts: list[Part]) -> list[Part]:
    found: list[Part] = []
    for part in parts:
        if part not in found:
            found.append(part)
    return found


def _same_list(gold: Reading, golds: list[Part], answers: list[Part], rules: Rules) -> bool:
    """Part by part: in order where only one side names its parts, else each matched by one of its own."""
    if _has_own_names(golds) != _has_own_names(answers):
        return all(_same_part(g, a, rules) for g, a in zip(golds, answers, strict=True))
    left = list(answers)
    for part in golds:
        match = next((at for at, other in enumerate(left) if _same_part(part, other, rules)), None)
        if match is None:
            return False
        left.pop(match)
    return True


def _has_own_names(parts: list[Part]) -> bool:
    names = [part.label or " ".join(canonical_words(part.words)) for part in parts]
    return all(names) and len(set(names)) == len(names)


def _as_tuple(gold: Reading, answer: Reading, rules: Rules) -> bool:
    """`a=-2, b=-2` may be answered by `(-2,-2)` where the task lists several answers."""
    if not rules.has_parts or len(answer.parts) != 1 or len(gold.parts) < 2:
        return False
    formula = answer.parts[0].formula
    if not (formula.startswith("(") and formula.endswith(")")):
        return False
    pieces = split_at(formula[1:-1], ",")
    if len(pieces) != len(gold.parts):
        return False
    return all(_same_part(g, Part(formula=piece), rules) for g, piece in zip(gold.parts, pieces, strict=True))


def _as_set(golds: list[Part], answers: list[Part], rules: Rules) -> bool:
    r"""`x \le 1 \text{ or } x = 3` as the union of its parts, against a set in interval notation."""
    many, one = (golds, answers) if len(golds) > 1 else (answers, golds)
    names = {part.label for part in many}
    if len(one) != 1 or len(many) < 2 or len(names) != 1 or "" in names or not _same_name(golds[0].label, answers[0].label):
        return False
    return any(re.match(r"[\[(]", part.formula) for part in many) and _same_value(_united(golds), _united(answers), rules)


def _united(parts: list[Part]) -> str:
    """A union in the parser's notation; one value that stands beside intervals is a set of its own."""
    if len(parts) == 1:
        return parts[0].formula
    return r" \cup ".join(
        p.formula if re.match(r"[\[(]|\\\{", p.formula) else rf"\{{{p.formula}\}}" for p in parts
    )


def _as_equation(gold: Reading, answer: Reading) -> bool:
    return same_relation(gold.plain, answer.plain) if re.search(r"=|[<>]|\\[lg]e(?![a-z])", gold.text) else False


def _same_part(gold: Part, answer: Part, rules: Rules) -> bool:
    if not _same_name(gold.label, answer.label):
        return False
    if bool(gold.formula and answer.formula) and not words_agree(gold.words, answer.words):
        return False
    if gold.sides and not gold.label:
        return False  # an equation: its sides are no values of their own
    if not gold.formula or not answer.formula:
        return _spelled(gold) == _spelled(answer)
    if gold.base != answer.base and (answer.base or not text_equal(gold.formula, answer.formula)):
        return False
    if gold.base:
        return text_equal(gold.formula.lstrip("0"), answer.formula.lstrip("0"))
    values = [answer.formula, *answer.sides]
    return all(_same_side(gold, replace(answer, formula=value), rules) for value in values)


def _spelled(part: Part) -> str:
    """An answer in words, whether they were set as text or bare."""
    return " ".join([*canonical_words(part.words), *canonical(part.formula).split()]).casefold().strip("()")


def _same_name(gold: str, answer: str) -> bool:
    """Whether two names may stand for one value: one of them left out, `y` for `f(x)`, `f(n)` for `f(x)`."""
    if not gold or not answer:
        return is_name(gold or answer or "x", is_loose=not gold)
    if gold == answer:
        return True
    calls = [re.fullmatch(r"([a-zA-Z]\w?)\(([a-zA-Z])\)", name) for name in (gold, answer)]
    if calls[0] and calls[1]:
        return calls[0][1] == calls[1][1]
    return any(call is not None and other == "y" for call, other in zip(calls, (answer, gold), strict=True))


def _same_side(gold: Part, answer: Part, rules: Rules) -> bool:
    formula = answer.formula
    if not _LETTER.search(gold.formula) and "\\" not in re.sub(r"\\(?:frac|cdot|times|sqrt)", "", gold.formula):
        formula = without_letter_unit(formula)
    if text_equal(gold.formula, formula):
        return _same_percent(gold, answer, rules) is not False
    shares = _shares(gold, answer, rules)
    return any(_same_value(left, right, rules) for left, right in shares(gold.formula, formula))


def _same_percent(gold: Part, answer: Part, rules: Rules) -> bool:
    return gold.is_percent == answer.is_percent or rules.is_percent_free


def _shares(gold: Part, answer: Part, rules: Rules) -> Any:
    """The pairs of values to compare, given who writes a percent or a degree sign."""

    def pairs(left: str, right: str) -> list[tuple[str, str]]:
        if gold.is_percent != answer.is_percent:
            whole = (left, rf"\frac{{{right}}}{{100}}") if answer.is_percent else (rf"\frac{{{left}}}{{100}}", right)
            return [whole, (left, right)] if rules.is_percent_free else [whole]
        if gold.is_degrees != answer.is_degrees and "\\pi" in (left if answer.is_degrees else right):
            radians = rf"\frac{{({right if answer.is_degrees else left}) \cdot \pi}}{{180}}"
            return [(left, radians) if answer.is_degrees else (radians, right)]
        return [(left, right)]

    return pairs


def _same_value(gold: str, answer: str, rules: Rules) -> bool:
    if ":" in gold or ":" in answer:
        return _same_ratio(gold, answer, rules)
    try:
        left = parse(gold)
    except UnreadableFormulaError as error:
        raise UnreadableGoldError(gold) from error
    try:
        right = parse(answer)
    except UnreadableFormulaError as error:
        raise UnreadableAnswerError(answer) from error
    if (asks_for_work(right) or _WORK.search(answer)) and not (asks_for_work(left) or _WORK.search(gold)):
        return False
    if is_arithmetic(left) and not (is_arithmetic(right) or _is_exact_root(left) or is_constant_in_names(right)):
        return False
    if rules.tolerance and _is_near(left, right, rules.tolerance):
        return True
    if is_equal(left, right, decimals=rules.decimals):
        return True
    return _is_renamed(gold, answer, left, right, rules)


def _is_exact_root(gold: Any) -> bool:
    r"""A decimal gold with all its places may be answered by what it is the rounding of (`1.414214`, `\sqrt2`)."""
    return bool(gold.is_Rational) and gold.q % 10 == 0


def _same_ratio(gold: str, answer: str, rules: Rules) -> bool:
    left, right = split_at(gold, ":"), split_at(answer, ":")
    return len(left) == len(right) and all(_same_value(g, a, rules) for g, a in zip(left, right, strict=True))


def _is_near(gold: Any, answer: Any, tolerance: float) -> bool:
    try:
        # The slack admits a difference that equals the tolerance but for rounding.
        return abs(float(gold) - float(answer)) <= tolerance * (1 + 1e-9)
    except (TypeError, ValueError, OverflowError):
        return False


def _is_renamed(gold: str, answer: str, left: Any, right: Any, rules: Rules) -> bool:
    r"""The same but for names: those of a family of angles (`k\pi` and `n\pi`) always, all of them if names do not count."""
    ours, theirs = (sorted(getattr(each, "free_symbols", ()), key=str) for each in (left, right))
    if not ours or len(ours) != len(theirs) or ours == theirs:
        return False
    is_family = "\\pi" in gold and "\\pi" in answer and len(ours) == 1
    is_family = is_family and all(_INTEGER_NAME.search(text) for text in (gold, answer))
    if rules.is_strict and not is_family:
        return False
    renamed = right.subs(dict(zip(theirs, ours, strict=True)), simultaneous=True)
    return is_equal(left, renamed, decimals=rules.decimals)
