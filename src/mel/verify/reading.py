r"""What an answer states: its parts, each a formula with the name it is given and the words beside it.

Text in, values out; no formula is evaluated here. Every sign of the text ends in a part, so that the comparison can
account for all of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from mel.verify.intervals import as_interval
from mel.verify.notation import bare_edges, canonical, group_end, normalized
from mel.verify.words import PLACEHOLDER, WORD, is_connective, is_word

_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{(?:cases|aligned|align\*?|gathered|array)\}(?:\{[lcr|]*\})?")
_EQUALS = re.compile(r"(?<![<>!:\\])=|\\approx(?![a-zA-Z])|\\sim(?![a-zA-Z])")
_RELATION = re.compile(r"\\(?:le|ge|neq|equiv)(?![a-zA-Z])|[<>]")
_DOMAIN = re.compile(r"\\mathbb\s*\{[A-Z]\}(?:\^?[+*]|_\{?[+*0-9]+\}?)?")
_PERCENT = re.compile(r"\\?%\s*$")
_DEGREES = re.compile(r"\^\s*\\circ\s*(?:C|F|(?![a-zA-Z]))|\\circ(?![a-zA-Z])")
_DEGREE_WORD = re.compile(r"(?:\\text\s*\{\s*degrees?[^{}]*\}|(?<![a-zA-Z\\])degrees?(?![a-zA-Z]))")
_PERCENT_WORD = re.compile(
    r"(?:\\text\s*\{\s*(?:percent(?:age)?|pct|\\?%)\s*\}|(?<![a-zA-Z\\])(?:percent(?:age)?|pct)(?![a-zA-Z]))"
)
_ORDINAL = re.compile(r"(?<=[0-9])\s*\^?\s*\{?\s*(?:\\text\s*\{\s*)?(?:st|nd|rd|th)(?![a-zA-Z])\s*\}?\s*\}?")
_MINUTES = re.compile(r"([0-9.]+)\s*\^\s*\\circ\s*([0-9.]+)\s*'")
_SUBSCRIPT = re.compile(r"_\s*(?:\{[^{}]*\}|\\[a-zA-Z]+|[0-9a-zA-Z])")
_ARGUMENTS = re.compile(r"(?<=[a-zA-Z}'\x01])\s*\([^()]*\)")
_NAME_SIGNS = re.compile(r"\\(?:text|frac|d|partial|max|min|sup|inf|lim|to|infty)(?![a-zA-Z])|[\s{}|:,'/()\[\]\\]|->")
_BASE = re.compile(
    r"(?<![a-zA-Z}\])_])([0-9A-F]+)\s*_\s*(?:\{\s*([0-9]+)\s*\}|([0-9])|\{\s*\\text\s*\{([a-z]+)\}\s*\})"
)
_BASES = dict(zip(["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"], range(2, 11), strict=True))
_COMMA_NUMBER = re.compile(r"(?<![0-9.,])([1-9][0-9]{0,2}(?:,[0-9]{3})+)(?![0-9]|,[0-9])")
_BARE_CONNECTIVE = re.compile(r"\\text\s*\{[^{}]*\}|(?:(?<![a-zA-Z\\{])|(?<=[0-9)]))(and|or)(?![a-z])")
_DOMAIN_NOTE = re.compile(r"\(\s*([a-zA-Z](?:\s*,\s*[a-zA-Z])*\s*\\in\s*\\mathbb\s*\{[A-Z]\}[^()]*)\)\s*$")
_NO_UNITS = frozenset("einxyz")
_MAX_PLUS_MINUS = 3
_OR = "\ue002"


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    r"""One stated value.

    Args:
        formula: LaTeX without words, labels, degree and percent signs.
        label: the name that the value is given (`x` in `x=3`), canonical; empty for none.
        sides: values further along a chain of equalities (`x = 1 + 1 = 2`): all must agree.
        words: units and other words beside it.
        base: number base in a subscript, 0 for none.
    """

    formula: str
    label: str = ""
    sides: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    base: int = 0
    is_percent: bool = False
    is_degrees: bool = False
    is_condition: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """An answer: its `parts` in order, the whole in one notation (`plain`) and without its spaces (`text`)."""

    text: str
    plain: str
    parts: tuple[Part, ...]


@lru_cache(maxsize=2048)
def read(text: str) -> Reading:
    """The parts of an answer or a gold."""
    plain = normalized(text)
    lines = _ENVIRONMENT.sub(" ", plain).replace("\\\\", ",").replace("&", " ")
    inner = _inside_braces(lines if "cases" in plain or "align" in plain else plain)
    chunks = [chunk for group in split_at(inner, ";") for chunk in _chunks(group)]
    parts = _with_afterwords(tuple(part for chunk in chunks for part in _parts(chunk)))
    return Reading(text=canonical(plain), plain=plain, parts=_with_shared_labels(_groups_as_tuples(inner, parts)))


def is_name(text: str, *, is_loose: bool = False) -> bool:
    r"""Whether a left-hand side only names a value: `x`, `f(x)`, `a_{n}`, `\angle ABC`, `(p,q)`, `|AB|`.

    Args:
        is_loose: sums and powers of names too (`x^2+y^2`), which an answer may repeat from its question.
    """
    bare = _ARGUMENTS.sub("", _SUBSCRIPT.sub("", text.replace("\\mathbb", "")))
    if is_loose:
        bare = re.sub(r"\^\s*(?:\{[0-9]+\}|[0-9])|(?<=[\w})])\s*[-+]", "", bare)
    bare = _NAME_SIGNS.sub("", bare)
    return bare.isascii() and bare.isalpha()


def split_at(text: str, separators: str) -> list[str]:
    """Pieces between separators that stand outside all brackets and bars."""
    pieces, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if char in separators and depth <= 0:
            pieces.append(text[start:at])
            start = at + 1
    return [piece.strip() for piece in [*pieces, text[start:]]]


def _inside_braces(text: str) -> str:
    r"""The elements of `{1, 2}` or `\{1, 2\}`; a set that is described, and anything else, stays as it is."""
    stripped = text.strip()
    assigned = re.fullmatch(r"[a-zA-Z](?:_\w)?\s*(?:=|\\in)\s*(\\\{.*\\\})", stripped)
    stripped = assigned[1] if assigned else stripped
    if stripped.startswith("{") and group_end(stripped, 0) == len(stripped):
        return stripped[1:-1]
    if stripped.startswith("\\{") and stripped.endswith("\\}") and stripped.count("\\{") == 1:
        inner = stripped[2:-2]
        if len(split_at(inner, "|:")) == 1 and "\\mid" not in inner:
            return inner.replace(",", ", ")  # `\{1,234\}` holds two numbers
    return text


def _chunks(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Pieces at commas and connectives, and after a word between two values; each with its words."""
    text = _DEGREE_WORD.sub(r"^\\circ ", _PERCENT_WORD.sub("%", _ORDINAL.sub("", text)))
    text = _DOMAIN_NOTE.sub(r",\1", _with_plain_thousands(text))
    text = _BARE_CONNECTIVE.sub(lambda match: rf"\text{{{match[1]}}}" if match[1] else match[0], text)
    words: list[str] = []
    found: list[tuple[str, tuple[str, ...]]] = []
    for piece in split_at(_marked(text, words), ","):
        found.extend(_at_words(piece, words))
    return [(formula, beside) for formula, beside in found if formula or beside]


def _with_plain_thousands(text: str) -> str:
    """`1,250` outside brackets is one number, as in the prose of every data set here; `1 250` if it is all there is."""
    if re.fullmatch(r"[1-9][0-9]{0,2}(?: [0-9]{3})+", text.strip()):
        return text.replace(" ", "")
    return _COMMA_NUMBER.sub(
        lambda match: match[0] if depth_of(text[: match.start()]) > 0 else match[0].replace(",", ""), text
    )


def depth_of(text: str) -> int:
    """Brackets that are still open at the end of a text."""
    return sum(text.count(sign) for sign in "([{") - sum(text.count(sign) for sign in ")]}")


def _marked(text: str, words: list[str]) -> str:
    """The text with a placeholder for every word and a comma for every connective."""
    out: list[str] = []
    last = 0
    depth = 0
    for match in WORD.finditer(text):
        between = text[last : match.start()]
        depth += between.count("{") - between.count("}")
        out.append(between)
        out.append(_mark(match, text, depth, words))
        last = match.end()
    return "".join([*out, text[last:]])


def _mark(match: re.Match[str], text: str, depth: int, words: list[str]) -> str:
    upright, power, bare, bare_power, foreign = match.groups()
    before = text[: match.start()].rstrip()
    is_called = upright is not None and upright.isalpha() and text.startswith("(", match.end())
    if depth > 0 or is_called or before.endswith(("_", "\\begin", "\\end", "\\mathbb")):
        return match[0]
    if upright is None:
        word = bare if bare is not None else foreign
        if bare is not None and is_connective(word):
            return _joined(word)
        return _placeholder(word + (bare_power or ""), words) if foreign or is_word(word) else match[0]
    content = upright.strip()
    if re.search("[0-9]", re.sub(r"\^\s*\{?-?[0-9]\}?", "", content)):
        return " " + _marked(f" {content} ", words) + " " + (power or "")
    is_letter = re.fullmatch(r"\(?[a-zA-Z]\)?", content) is not None
    if is_letter and (content in _NO_UNITS or not re.search(r"[0-9})]$", before)):
        return content.strip("()") + (power or "")
    pieces = re.split(r"\s*\b(and|or)\b\s*|\s*[,;]\s*", content)
    marks = [
        _joined(piece) if piece in (None, "and", "or") else _placeholder(piece, words)
        for piece in pieces
        if piece != ""
    ]
    if re.match(r"\s*,", content) or re.search(r",\s*$", content):
        marks.append(",")
    if power and marks and not marks[-1].startswith(","):
        words[-1] += power
    return "".join(marks)


def _joined(word: str | None) -> str:
    """The comma that a connective is, with a mark if it offers an alternative."""
    return f",{_OR}" if word == "or" else ","


def _placeholder(word: str, words: list[str]) -> str:
    words.append(word)
    return f"\ue000{len(words) - 1}\ue001"


def _at_words(piece: str, words: list[str]) -> list[tuple[str, tuple[str, ...]]]:
    """A piece cut behind each word that stands between two values (`3 hours 20 minutes`)."""
    found: list[tuple[str, tuple[str, ...]]] = []
    formula, beside, last, is_closed = "", [], 0, False
    for match in PLACEHOLDER.finditer(piece):
        between = piece[last : match.start()].strip()
        if re.fullmatch(r"/|\\cdot|\\times|\(|\)|\.|:|-", between) and beside:
            between = ""
        if is_closed and between:
            found.append((formula, tuple(beside)))
            formula, beside = "", []
        formula += between
        beside.append(words[int(match[1])])
        is_closed = bool(re.search(r"[0-9a-zA-Z)}\]]", formula)) and not formula.rstrip().endswith(
            ("=", ":", "\\approx")
        )
        last = match.end()
    rest = piece[last:].strip()
    if is_closed and re.search(r"[0-9a-zA-Z]", rest):
        return [*found, (formula, tuple(beside)), (rest, ())]
    return [*found, (formula + rest, tuple(beside))]


def _parts(chunk: tuple[str, tuple[str, ...]]) -> list[Part]:
    formula, words = chunk[0].replace(_OR, " "), chunk[1]
    if _OR in chunk[0] and not formula.strip():
        words = ("or", *words)  # "42 or so" takes the value back; between two values it only joins them
    formula = _MINUTES.sub(r"(\1+\\frac{\2}{60})^\\circ ", formula)
    is_degrees = bool(_DEGREES.search(formula))
    formula = _DEGREES.sub(" ", formula)
    is_percent = bool(_PERCENT.search(formula))
    formula = bare_edges(_PERCENT.sub("", formula))
    part = Part(formula=formula, words=words, is_percent=is_percent, is_degrees=is_degrees)
    if not formula:
        return [part] if words else []
    return [_with_base(each) for each in _plus_minus(_labelled(part))]


def _labelled(part: Part) -> Part:
    """The part with its name split off, or the interval that an inequality in one variable describes."""
    interval = as_interval(part.formula)
    if interval is not None:
        return replace(part, formula=interval.formula, label=canonical(interval.variable))
    member = re.fullmatch(r"(.*?)\\in(?![a-zA-Z])(.*)", part.formula)
    if member and is_name(member[1]):
        value = member[2].strip()
        return replace(part, formula=value, label=canonical(member[1]), is_condition=bool(_DOMAIN.fullmatch(value)))
    if _RELATION.search(part.formula):
        return part
    sides = sides_of(part.formula)
    if len(sides) == 1:
        return _after_colon(part)
    if sides[0] and not is_name(sides[0], is_loose=True):
        return replace(part, formula=sides[-1], sides=tuple(sides[:-1]))
    return replace(part, formula=sides[-1], label=canonical(sides[0]), sides=tuple(sides[1:-1]))


def sides_of(text: str) -> list[str]:
    """What stands between the equality signs outside all brackets."""
    sides, start = [], 0
    for match in _EQUALS.finditer(text):
        if depth_of(text[: match.start()]) == 0:
            sides.append(text[start : match.start()].strip())
            start = match.end()
    return [*sides, text[start:].strip()]


def _after_colon(part: Part) -> Part:
    pieces = split_at(part.formula, ":")
    if len(pieces) == 2 and is_name(pieces[0]) and re.search("[0-9]", pieces[1]):
        return replace(part, formula=pieces[1], label=canonical(pieces[0]))
    return part


def _plus_minus(part: Part) -> list[Part]:
    r"""Both values of `1 \pm x`; several signs are independent in a tuple and unreadable elsewhere."""
    signs = part.formula.count("\\pm")
    is_tuple = part.formula.startswith("(") and len(split_at(part.formula[1:-1], ",")) > 1
    if signs == 0 or signs > _MAX_PLUS_MINUS or (signs > 1 and not is_tuple) or "\\mp" in part.formula:
        return [part]
    formulas = [part.formula]
    for _ in range(signs):
        formulas = [re.sub(r"\\pm(?![a-zA-Z])", sign, one, count=1) for one in formulas for sign in ("+", "-")]
    return [replace(part, formula=formula.lstrip("+ ")) for formula in formulas]


def _with_base(part: Part) -> Part:
    match = _BASE.fullmatch(part.formula)
    if not match:
        return part
    base = _BASES.get(match[4], 0) if match[4] else int(match[2] or match[3])
    return replace(part, formula=match[1], base=base) if base else part


def _with_afterwords(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Words that a comma cuts off stay with the value before them (`72, altogether`)."""
    found: list[Part] = []
    for part in parts:
        if found and not part.formula and found[-1].formula:
            found[-1] = replace(found[-1], words=found[-1].words + part.words)
        else:
            found.append(part)
    return tuple(found)


def _with_shared_labels(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """`x = 2, 3` names both values."""
    named = [part.label for part in parts if not part.is_condition]
    if len(named) > 1 and named[0] and not any(named[1:]) and "(" not in named[0]:
        return tuple(part if part.is_condition else replace(part, label=named[0]) for part in parts)
    return parts


def _groups_as_tuples(text: str, parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """`p=5, q=2; p=7, q=2` as the tuples (5,2) and (7,2), where every group gives the same names."""
    groups = [tuple(part for chunk in _chunks(group) for part in _parts(chunk)) for group in split_at(text, ";")]
    if len(groups) < 2 or len(groups[0]) < 2:
        return parts
    names = [tuple(part.label for part in group) for group in groups]
    if len(set(names)) > 1 or not all(names[0]) or len(set(names[0])) < len(names[0]):
        return parts
    return tuple(Part(formula="(" + ",".join(part.formula for part in group) + ")") for group in groups)
