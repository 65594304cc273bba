r"""Whether an answer states what the gold states: every part of both is accounted for, or it is wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from mel.verify.choices import letters_of, same_choice
from mel.verify.formula import text_equal
from mel.verify.notation import MONEY, canonical
from mel.verify.reading import Part, Reading, is_name, read, split_at
from mel.verify.relations import same_relation
from mel.verify.values import LETTER, Rules, UnreadableAnswerError, UnreadableGoldError, same_side, same_value
from mel.verify.words import canonical_words, words_agree

_MAX_PARTS = 40
_PLACEHOLDERS = frozenset(
    ("see solution", "see the solution", "see above", "solution", "proof", "none given", "unknown", "n/a", "na", "todo")
)
_MEMBER = re.compile(r"\\in(?![a-z])")
_INEQUALITY = re.compile(r"[<>]|\\[lg]e(?![a-z])")


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
    letters = letters_of(gold_text)
    if letters:
        return same_choice(letters, answer_text)
    if not answer.parts:
        raise UnreadableAnswerError(answer_text)
    if _is_in_cents(gold) != _is_in_cents(answer) and (MONEY.search(gold_text) or MONEY.search(answer_text)):
        return False
    if not rules.has_inequalities and _MEMBER.search(gold.text) and _INEQUALITY.search(answer.text):
        return False
    return _same_parts(gold, answer, rules)


def _same_parts(gold: Reading, answer: Reading, rules: Rules) -> bool:
    golds, answers = _without_conditions(gold.parts, answer.parts)
    if len(answers) > len(golds):
        answers = _without_repetition(golds, answers)
    if len(golds) == 1 and 1 < len(answers) <= _MAX_PARTS and len({part.label for part in answers}) == 1:
        # One value in two forms (`15\frac12, \frac{31}{2}`), or an alternative.
        return all(_same_part(golds[0], part, rules) for part in answers) or _as_set(golds, answers, rules)
    if len(golds) != len(answers):
        return _as_tuple(gold, answer, rules) or _as_set(golds, answers, rules) or _as_equation(gold, answer)
    if len(golds) > 1:
        return len(golds) <= _MAX_PARTS and _same_list(golds, answers, rules)
    if _same_part(golds[0], answers[0], rules):
        return True
    # `x=5` is the value 5, which `5x=25` leaves to be found; `y=2x+1` is a line, in whatever form.
    is_solved = bool(golds[0].label) and is_name(golds[0].label) and not LETTER.search(golds[0].formula)
    is_solved = is_solved and not _INEQUALITY.search(gold.plain)
    return not is_solved and _as_equation(gold, answer)


def _is_in_cents(reading: Reading) -> bool:
    return any("cent" in canonical_words(part.words) for part in reading.parts)


def is_placeholder(gold: str) -> bool:
    """Whether a gold states nothing: empty, punctuation only, or a word that points elsewhere."""
    return not re.search(r"[^\W_]|\\|[^\x00-\x7f]", gold) or gold.strip(" .$").lower() in _PLACEHOLDERS


def _require_a_value(gold: Reading, text: str) -> None:
    if is_placeholder(text) or is_placeholder(gold.plain):
        raise UnreadableGoldError(text)
    words = [word for part in gold.parts for word in part.words if not part.formula]
    if not gold.parts or " ".join(words).lower() in _PLACEHOLDERS:
        raise UnreadableGoldError(text)


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
    """The parts without those that repeat an earlier one but for its spaces."""
    return list({replace(part, formula=canonical(part.formula)): part for part in reversed(parts)}.values())[::-1]


def _same_list(golds: list[Part], answers: list[Part], rules: Rules) -> bool:
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
    if (
        len(one) != 1
        or len(many) < 2
        or len(names) != 1
        or "" in names
        or not _same_name(golds[0].label, answers[0].label)
    ):
        return False
    return any(re.match(r"[\[(]", part.formula) for part in many) and same_value(
        _united(golds), _united(answers), rules
    )


def _united(parts: list[Part]) -> str:
    """A union in the parser's notation; one value that stands beside intervals is a set of its own."""
    if len(parts) == 1:
        return parts[0].formula
    return r" \cup ".join(p.formula if re.match(r"[\[(]|\\\{", p.formula) else rf"\{{{p.formula}\}}" for p in parts)


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
    return all(same_side(gold, replace(answer, formula=value), rules) for value in values)


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
