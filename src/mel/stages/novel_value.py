"""Novel value: the first step of y- that states a number which stands neither in the problem nor in y+ (eq. 2)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction

from mel.types import Pair

# fmt: off
_SMALL = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
          "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
# fmt: on
_WORDS = {word: n for n, word in enumerate(_SMALL)} | {word: 10 * n for n, word in enumerate(_TENS, 2)}
_FACTORS = {"dozen": 12, "hundred": 100, "thousand": 1000, "million": 10**6}
_IMPLIED = {"half": Fraction(1, 2), "third": Fraction(1, 3), "quarter": Fraction(1, 4)}
_IMPLIED |= {"twice": Fraction(2), "double": Fraction(2), "triple": Fraction(3)}

_NUMBER = re.compile(
    r"(?P<sign>-\$?)?(?:(?P<whole>\d+)\s+(?=\d+/))?(?P<digits>\d{1,3}(?:,\d{3})+(?!,?\d)(?:\.\d+)?|\d*\.\d+|\d+)"
    r"(?:/(?P<under>\d+)(?![\d/]))?(?P<percent>\s?%)?"
)
_LABEL = re.compile(r"^[\s\-*#>]*(?:step\s*)?\(?\d{1,3}[.):](?!\d)\s*", re.IGNORECASE)
_FRACTION = re.compile(r"\\[dt]?frac\s*\{?\s*(\d+)\s*\}?\s*\{\s*(\d+)\s*\}")
_SPELLED = re.compile(rf"\b(?:{'|'.join([*_WORDS, *_FACTORS])})\b(?:[\s-]+and\b)?[\s-]*", re.IGNORECASE)


def novel_value(pair: Pair) -> int | None:
    """Number of the first step of y- with a number in digits that neither x nor y+ states; None if there is none.

    The numbers that steps carry as labels do not count on either side. Numbers in words count as stated where x or y+
    has them, and not as new where a step has them: there they seldom are a value (`one of them`).
    """
    known = _known(pair)
    for step in pair.wrong_steps:
        stated = numbers(_LABEL.sub("", pair.wrong.text[step.start : step.end]))
        if any(not readings & known for readings in stated):
            return step.number
    return None


def numbers(text: str) -> list[frozenset[Fraction]]:
    r"""Every number in digits, in order, each with what it may stand for.

    1,000, 1{,}000 and 1\,000 are a thousand; 3/4 and \frac{3}{4} are a quotient, 2 1/2 is a mixed number; 25% is 25
    or 1/4. A minus is a sign where nothing stands before it from which to take away: 7 - 3 has a 3, (-3) a -3.
    """
    plain = _plain(text)
    return [_readings(match, plain) for match in _NUMBER.finditer(plain)]


def _known(pair: Pair) -> frozenset[Fraction]:
    """What x and y+ state, in digits, in words, or as a part of a fraction."""
    right, steps = pair.right.text, pair.right_steps
    texts = [pair.problem.text, *(_LABEL.sub("", right[step.start : step.end]) for step in steps)]
    texts += [right[: steps[0].start], right[steps[-1].end :]] if steps else [right]
    return frozenset(value for text in texts for value in _stated(text))


def _stated(text: str) -> Iterator[Fraction]:
    plain = _plain(text)
    for readings in numbers(plain):
        yield from readings
    for over, under in re.findall(r"(\d+)/(\d+)", plain):
        yield from (Fraction(over), Fraction(under))
    for word in re.findall(r"[a-z]+", plain.casefold()):
        implied = _IMPLIED.get(word.removesuffix("s")) or _IMPLIED.get(word.removesuffix("d"))
        if implied is not None:
            yield implied
    for run in re.finditer(rf"(?:{_SPELLED.pattern})+", plain, re.IGNORECASE):
        yield Fraction(_spelled(run[0].casefold()))


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).replace("\N{MINUS SIGN}", "-").replace("\N{FRACTION SLASH}", "/")
    text = re.sub(r"(?<=\d)(?:\{,\}|\\[,!])(?=\d{3})", ",", text)
    return _FRACTION.sub(r" \1/\2", text)


def _readings(match: re.Match[str], text: str) -> frozenset[Fraction]:
    value = Fraction(match["digits"].replace(",", "")) / (int(match["under"] or 1) or 1) + int(match["whole"] or 0)
    if match["sign"] and not re.search(r"(?:\w|[\d)\]}%]\s*)$", text[: match.start()]):
        value = -value
    return frozenset({value, value / 100}) if match["percent"] else frozenset({value})


def _spelled(words: str) -> int:
    """The value of a number in words: `two hundred and five` is 205."""
    total, part = 0, 0
    for word in re.findall(r"[a-z]+", words):
        factor = _FACTORS.get(word, 1)
        if factor >= 1000:
            total, part = total + max(part, 1) * factor, 0
        elif factor > 1:
            part = max(part, 1) * factor
        else:
            part += _WORDS.get(word, 0)
    return total + part
