r"""Units and other words beside a value: what they may change, and when two sets of them agree.

Words are what stands in `\text{...}`, and bare words that no product of variables looks like. A single bare letter
is a variable: `5h` is no `5`.
"""

from __future__ import annotations

import re

from mel.verify.vocabulary import LETTER_UNITS, SHORT, SYNONYMS, TELLING, UNITS

_MAX_WORDS = 8

# `5K` is five thousand; kelvins stand apart from their number.
_LETTER_UNIT = re.compile(rf"(?<=[0-9}}])(?:\s*(?:\\mu\s*)?[{LETTER_UNITS}]|\s+K)(?:\^\{{?[23]\}}?)?$")
PLACEHOLDER = re.compile("\ue000([0-9]+)\ue001")
WORD = re.compile(
    r"\\text\s*\{((?:[^{}]|\{[^{}]*\})*)\}(\s*\^\s*(?:\{[^{}]*\}|-?[0-9]))?"
    r"|(?<![\\A-Za-z_Å])([A-Za-zÅ]+)(\s*\^\s*(?:\{-?[0-9]\}|-?[0-9]))?(?![A-Za-z_Å(])|([\u4e00-\u9fff]+)"
)


def is_word(run: str) -> bool:
    """Whether a bare run of letters is a word rather than a product of variables."""
    low = run.lower()
    if run in UNITS or low in ("and", "or") or (len(run) > 1 and (low in SHORT or low in TELLING)):
        return True
    return len(run) >= 4 and not run.isupper() and bool(re.search("[aeiouy]", low))


def is_connective(word: str) -> bool:
    """Whether a word joins two values."""
    return word.lower() in ("and", "or")


def split_letter_unit(formula: str) -> tuple[str, tuple[str, ...]]:
    """A number, and the one-letter unit right behind it as words; for a gold without letters only."""
    match = _LETTER_UNIT.search(formula)
    if match is None:
        return formula, ()
    return formula[: match.start()], (re.sub(r"\\mu\s*", "μ", match[0].strip()),)


def canonical_words(words: tuple[str, ...]) -> tuple[str, ...]:
    """Words in singular, units by their symbol, fillers dropped, in order."""
    text = re.sub(r"n't\b", " not", " ".join(words).replace("$", ""))
    text = re.sub(r"\b([a-zA-Z])\.\s?([a-zA-Z])\b\.?", r"\1\2", text)  # p.m.
    text = re.sub(r"\bsquare[sd]?\s+(?!of\b|root)([a-zA-Z]+)", r"\1^2", re.sub(r"\bcubic\s+([a-zA-Z]+)", r"\1^3", text))
    text = re.sub(r"\bsq\.?\s+([a-zA-Z]+)", r"\1^2", re.sub(r"\s+per\s+|\s*/\s*", "/", text))
    found: list[str] = []
    for token in re.findall(r"[^\s.,;:(){}\"]+", re.sub(r"\^\s*\{?\s*(-?[0-9])\s*\}?", r"^\1", text)):
        name = "/".join(_singular(part) for part in token.split("/"))
        if name.strip("/"):
            found.append(name)
    return tuple(found) or tuple(text.lower().split())


def words_agree(gold: tuple[str, ...], answer: tuple[str, ...]) -> bool:
    """Whether the words beside two equal values leave them equal.

    A unit or a noun may be left out or added; two that differ, or a word that changes the value, are not.
    """
    left, right = canonical_words(gold), canonical_words(answer)
    if left == right:
        return True
    if len(right) > _MAX_WORDS or (set(left) ^ set(right)) & _TELLING_STEMS:
        return False
    return not left or not right or set(left) <= set(right) or set(right) <= set(left)


def _singular(token: str) -> str:
    base, caret, power = token.partition("^")
    low = base if base in UNITS or len(base) == 1 else base.lower()
    if low not in TELLING and low not in SYNONYMS and len(low) > 2 and low.endswith("s") and not low.endswith("ss"):
        low = low[:-1]
    return SYNONYMS.get(low, low) + caret + power


_TELLING_STEMS = TELLING | {_singular(word) for word in TELLING}
