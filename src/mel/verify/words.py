r"""Units and other words beside a value: what they may change, and when two sets of them agree.

Words are what stands in `\text{...}`, and bare words that no product of variables looks like. A single bare letter
is a variable: `5h` is no `5`.
"""

from __future__ import annotations

import re

_SYNONYMS = {
    "metre": "m", "meter": "m", "cm": "cm", "centimeter": "cm", "centimetre": "cm", "millimeter": "mm", "km": "km",
    "kilometer": "km", "kilometre": "km", "inch": "in", "inche": "in", "foot": "ft", "feet": "ft", "yard": "yd",
    "mile": "mi", "hour": "h", "hr": "h", "minute": "min", "mins": "min", "second": "s", "sec": "s", "gram": "g",
    "kilogram": "kg", "pound": "lb", "liter": "l", "litre": "l", "dollar": "usd", "cent": "cent", "yuan": "元",
    "unit": "", "mph": "mi/h", "kph": "km/h", "person": "people", "way": "", "of": "", "the": "", "a": "", "an": "",
    "is": "", "answer": "", "final": "", "total": "", "altogether": "", "in": "in", "are": "", "there": "", "be": "",
}  # fmt: skip
_UNITS = frozenset(
    [
        "mm",
        "cm",
        "dm",
        "km",
        "mi",
        "ft",
        "yd",
        "in",
        "kg",
        "mg",
        "lb",
        "lbs",
        "oz",
        "ml",
        "mL",
        "min",
        "sec",
        "hr",
        "hrs",
        "mph",
        "kph",
        "km/h",
        "Hz",
        "kHz",
        "eV",
        "kJ",
        "kW",
        "Pa",
        "atm",
        "mol",
        "rad",
        "deg",
        "rpm",
        "usd",
        "USD",
        "RMB",
        "Å",
        "Ω",
    ]
)
_LETTER_UNITS = "mgshLNJWKVAC"
# What changes a value, hedges it or takes it back; beside a number it is never mere decoration.
_TELLING = frozenset(
    [
        "am",
        "pm",
        "noon",
        "midnight",
        "not",
        "no",
        "non",
        "never",
        "none",
        "neither",
        "nor",
        "wrong",
        "incorrect",
        "false",
        "mistaken",
        "error",
        "but",
        "maybe",
        "perhaps",
        "possibly",
        "either",
        "between",
        "to",
        "from",
        "until",
        "through",
        "except",
        "unless",
        "if",
        "when",
        "where",
        "without",
        "too",
        "over",
        "under",
        "above",
        "below",
        "before",
        "after",
        "north",
        "south",
        "east",
        "west",
        "left",
        "right",
        "up",
        "down",
        "clockwise",
        "counterclockwise",
        "counter",
        "less",
        "more",
        "greater",
        "smaller",
        "larger",
        "fewer",
        "than",
        "least",
        "most",
        "minimum",
        "maximum",
        "profit",
        "loss",
        "gain",
        "increase",
        "decrease",
        "hundred",
        "thousand",
        "million",
        "billion",
        "trillion",
        "dozen",
        "half",
        "halves",
        "third",
        "thirds",
        "quarter",
        "quarters",
        "fourth",
        "fourths",
        "fifth",
        "fifths",
        "tenth",
        "tenths",
        "hundredth",
        "hundredths",
        "double",
        "twice",
        "triple",
        "squared",
        "cubed",
        "square",
        "cube",
        "factorial",
        "percent",
        "percentage",
        "pct",
        "plus",
        "minus",
        "times",
        "negative",
        "positive",
        "root",
        "base",
        "mod",
        "modulo",
        "divided",
        "multiplied",
        "power",
        "choose",
        "infinite",
        "infinity",
        "infinitely",
        "all",
        "any",
        "every",
        "other",
        "otherwise",
        "instead",
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "twenty",
        "thirty",
        "forty",
        "fifty",
        "sixty",
        "seventy",
        "eighty",
        "ninety",
        "pair",
        "pairs",
        "couple",
        "score",
        "gross",
        "ten",
        "or",
        "so",
        "else",
        "first",
        "last",
        "rejected",
        "excluding",
        "exclude",
        "excluded",
        "invalid",
        "undefined",
        "unknown",
        "dne",
        "bc",
        "ad",
        "万",
        "千",
        "百",
        "亿",
        "不",
        "非",
        "或",
        "半",
        "倍",
        "负",
    ]
)
_CONNECTIVES = frozenset(("and", "or"))
_BARE = frozenset(("st", "nd", "rd", "th", "am", "pm", "is", "are", "the", "not", "but", "to", "of", "no", "yes", "per", "day", "men", "man", "box",
    "cup", "egg", "cat", "dog", "car", "bus", "pie", "toy", "hat", "pen", "way", "bag", "boy", "cow", "key", "pig", "row", "ton"
))  # fmt: skip
_MAX_WORDS = 8

PLACEHOLDER = re.compile("\ue000([0-9]+)\ue001")
WORD = re.compile(
    r"\\text\s*\{((?:[^{}]|\{[^{}]*\})*)\}(\s*\^\s*(?:\{[^{}]*\}|-?[0-9]))?"
    r"|(?<![\\A-Za-z_Å])([A-Za-zÅ]+)(\s*\^\s*(?:\{-?[0-9]\}|-?[0-9]))?(?![A-Za-z_Å(])|([\u4e00-\u9fff]+)"
)


def is_word(run: str) -> bool:
    """Whether a bare run of letters is a word rather than a product of variables."""
    low = run.lower()
    if run in _UNITS or low in _CONNECTIVES or low in _BARE or low in _TELLING:
        return True
    return len(run) >= 4 and not run.isupper() and bool(re.search("[aeiouy]", low))


def is_connective(word: str) -> bool:
    """Whether a word joins two values."""
    return word.lower() in _CONNECTIVES


def without_letter_unit(formula: str) -> str:
    """A number without the one-letter unit right behind it; for a gold without letters only."""
    return re.sub(rf"(?<=[0-9}}])\s*(?:\\mu\s*)?[{_LETTER_UNITS}](?:\^\{{?[23]\}}?)?$", "", formula)


def canonical_words(words: tuple[str, ...]) -> tuple[str, ...]:
    """Words in singular, units by their symbol, fillers dropped, in order."""
    text = re.sub(r"n't\b", " not", " ".join(words).replace("$", ""))
    text = re.sub(r"\bsquare[sd]?\s+([a-zA-Z]+)", r"\1^2", re.sub(r"\bcubic\s+([a-zA-Z]+)", r"\1^3", text))
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
    low = base if base in _UNITS or len(base) == 1 else base.lower()
    if low not in _TELLING and low not in _SYNONYMS and len(low) > 2 and low.endswith("s") and not low.endswith("ss"):
        low = low[:-1]
    return _SYNONYMS.get(low, low) + caret + power


_TELLING_STEMS = _TELLING | {_singular(word) for word in _TELLING}
