"""Where a response states its final answer: text in, text out, in time linear in the response."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from mel.verify.vocabulary import DENYING, MAGNITUDES, NUMERALS

BOXED = "boxed"
"""The marker that stands for LaTeX's ``\\boxed{...}`` (and ``\\fbox{...}``)."""

_BOX = re.compile(r"\\f?box(?:ed)?(?![a-zA-Z])\s*")
# A box whose whole content this is, up to the brace that it opens: `x = \boxed{5}`.
_FRAMED = re.compile(r"[\s$]*(?:[A-Za-z](?:_\w|_\{\w+\})?\s*=\s*)?" + _BOX.pattern)
_BARE_VALUE = re.compile(r"[^\s$\\{}]+")
# What may stand between two boxes that state one answer together: "\boxed{1} and \boxed{3}", "y_2 = \boxed{3}".
_CONNECTIVE = re.compile(
    r"\\(?:text|mathrm|textrm|mbox)\s*\{[^{}]{0,60}\}|\\(?:qquad|quad|lor|vee|[ ,;:!()\[\]\\])"
    r"|\b(?:and|or)\b|[A-Za-z](?:_(?:\w|\{\w{1,8}\}))?\s*=|[\s$,;&.*/]"
)
# And in one sentence: "\boxed{1} papers and \boxed{2} bins". What follows from the first box is no part of a list.
_LIST_WORDS = re.compile(r"[^\W\d_]+(?:[\s,]+[^\W\d_]+){0,7}")
_CONJUNCTION = re.compile(r"\b(?:and|or|alternatively|perhaps|maybe|possibly|versus)\b")
_DERIVES = re.compile(
    r"\b(?:so|hence|thus|therefore|then|gives?|get|yields?|implies|means|answer|result|total)\b", re.I
)
_BRACE = re.compile(r"(?<!\\)[{}]")
_MAX_BETWEEN_CHARS = 120
_MAX_JOINED = 50
_MAX_DENIAL_CHARS = 40
_MINUS = re.compile(r"(?:^|[\s=$(\[{,:;&])[-\u2212]\$?$")
# A unit, a percent or a degree sign may stand behind a box.
_FASTENED = re.compile(r"(?:\^(?!\s*\{?\s*\\circ)|[.,]?[0-9]|\\(?:pi|sqrt|frac|cdot|times)(?![a-zA-Z]))[^\s$]{0,40}")
_DENIED_BEFORE = re.compile(
    r"(?:\b(?:not|never|cannot)|n['\u2019]t)(?:\s+(?:be|equal)\b)?\s*:?\s*(?:\$+|\\[(\[])?\s*$", re.IGNORECASE
)
# Spaces are bounded: a megabyte of them would take minutes.
_DENIED_BEHIND = re.compile(
    r"\s?(?:\$\$?|\\[)\]])?,?\s(?:(?:but )?(?:which|that|this|it) )?(?:(?:is|was) (?:wrong|incorrect|false|impossible)"
    r"|(?:(?:is|was|can) ?not|(?:is|was|ca)n['\u2019]t) (?:be )?(?:the )?(?:right|correct|final|answer|solution))\b",
    re.IGNORECASE,
)
_TAG = r"(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad|analysis)"
_OPENING = re.compile(rf"<{_TAG}>|\[{_TAG}\]|<\|begin_of_{_TAG}\|>|◁{_TAG}▷", re.IGNORECASE)
_CLOSING = re.compile(rf"</{_TAG}>|\[/{_TAG}\]|<\|end_of_{_TAG}\|>|◁/{_TAG}▷", re.IGNORECASE)
_EDGE = re.compile(r"(?:[\s,;]|(?<!\.)\.(?!\.))+$")
_DISPLAY_MATH = (("$$", "$$"), ("\\[", "\\]"))
_MATH = re.compile(
    r"\$\$((?:[^$]|\\\$)+)\$\$|(?<![\\0-9])\$((?:[^$\n]|\\\$)+)(?<!\\)\$|\\\[(.+?)\\\]|\\\((.+?)\\\)", re.DOTALL
)
_DENIED = re.compile(rf"[0-9%]|n't|\b(?:or|and|percent|pct|too|{'|'.join(sorted(DENYING))})\b", re.I)
_MAGNITUDE = rf"(?:{'|'.join(sorted(MAGNITUDES))})s?"
_NUMERAL = rf"(?:{'|'.join(sorted(NUMERALS))})"
_CHANGES_NEXT = re.compile(
    r"(?:\w\*|[-+/^√~<>≤≥≠±×÷·−–—]"  # noqa: RUF001
    r"|\b(?:negative|minus|plus|times|by|per|over|under|above|below|beyond|beneath|exceed(?:s|ing)?|between|from|twice"
    r"|thrice|double|triple|(?:less|more|greater|smaller|larger|fewer)\s+than|at\s+(?:least|most)|up\s+to"
    rf"|(?:{_MAGNITUDE}|square|cube|root|logarithm|opposite|reciprocal|inverse|factorial"
    r"|sine|cosine|tangent|multiples?|divisors?|digits?)(?:\s+of)?|ln|log|sqrt|sin|cos|tan|exp))\s*$"
    rf"|\b{_NUMERAL}[\s,-]*$|[^\W_]$",
    re.I,
)
_CHANGES_LAST = re.compile(
    r"[^\W_]|\s*[-+/^!<>≤≥≠±×÷·−–—°]"  # noqa: RUF001
    rf"|\s*-?\s*(?:{_MAGNITUDE}|squared|cubed|factorial|minus|plus|times|divided|multiplied|over|per|to|k|mod|modulo)\b"
    rf"|[\s,]*{_NUMERAL}(?![\w-])",
    re.I,
)
_COURTESY = re.compile(r"\.?\s*I hope it is correct")
_INTEGER = re.compile(r"([+-]?)0*([0-9]+)|([+-]?)0*([0-9]{1,3}(?:,[0-9]{3})+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerFormat:
    """How a task wants the final answer marked, and how strictly it is compared.

    Args:
        markers: `boxed`, or a literal such as `####` or `Answer:` whose answer is the rest of the line (or the
            formula that starts there). The last marker in the response counts, whichever it is.
        float_rounding: decimals, and digits, that a decimal number needs to stand for the exact value it rounds.
        strict: variables must carry the same names, and a tuple is not a set.
        allow_set_relation_comp: an inequality may answer an interval (`-2 <= x <= 7` for `[-2, 7]`).
        max_answer_chars: a longer final answer is wrong unread; no gold of a task here exceeds 300.
    """

    markers: tuple[str, ...] = (BOXED,)
    float_rounding: int = 6
    strict: bool = True
    allow_set_relation_comp: bool = True
    max_answer_chars: int = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class FinalAnswer:
    """A marked answer: ``text`` without its marker, which was the literal ``marker`` or `boxed`."""

    text: str
    marker: str


def final_answer(response: str, markers: tuple[str, ...] = (BOXED,)) -> FinalAnswer | None:
    """The answer that the last marker states; None if nothing is marked or the mark was cut off.

    What stands in a thinking block is no answer, and a block that was never closed ends the response.
    """
    text = without_thinking(response)
    found = [(at, answer) for marker in markers for at, answer in [_last(text, marker)] if at >= 0]
    return max(found, key=lambda item: item[0])[1] if found else None


def plain_integer(text: str) -> str | None:
    """An integer in ASCII digits in canonical form (``+1,000`` and ``01000`` are ``1000``); None for anything else."""
    match = _INTEGER.fullmatch(text.strip().strip("$").strip())
    if not match:
        return None
    digits = (match[2] or match[4]).replace(",", "")
    sign = "-" if "-" in (match[1] or "", match[3] or "") else ""
    return digits if digits.strip("0") == "" else sign + digits


def last_boxed(text: str) -> str | None:
    """Content of the last box of a worked solution, as data sets keep their gold; None if there is none."""
    _, answer = _last_boxed(text, is_alone=True)
    return answer.text if answer else None


def formula_of_line(line: str) -> str:
    """The one formula that a marked line sets in dollars or brackets, if the words around it leave its value alone.

    A line with several formulas, with a number beside the formula, or with a sign or a word that changes or denies it
    (`-$5$`, `half of $5$`, `$5$ million`, `never $5$`) is taken as a whole.
    """
    spans = list(_MATH.finditer(line))
    if len(spans) != 1:
        return line
    before, behind = line[: spans[0].start()], line[spans[0].end() :]
    is_changed = _DENIED.search(f"{before} {behind}") or _CHANGES_NEXT.search(before) or _CHANGES_LAST.match(behind)
    return line if is_changed else next(filter(None, spans[0].groups()))


def without_thinking(text: str) -> str:
    """What follows the last thinking block, up to the next one that opens.

    Once a block was closed, a tag in the middle of a line is a word about tags and opens nothing.
    """
    start = max((match.end() for match in _CLOSING.finditer(text)), default=0)
    for opened in _OPENING.finditer(text, start):
        line = text[
            text.rfind("\n", start, opened.start()) + 1
            if "\n" in text[start : opened.start()]
            else start : opened.start()
        ]
        if start == 0 or not line.strip():
            return text[start : opened.start()]
    return text[start:]


def _last(text: str, marker: str) -> tuple[int, FinalAnswer | None]:
    if marker == BOXED:
        return _last_boxed(text)
    at = text.rfind(marker)
    if at < 0:
        return -1, None
    answer = _rest_of_line(text, at + len(marker))
    return at, FinalAnswer(text=answer, marker=marker) if answer else None


def _rest_of_line(text: str, start: int) -> str:
    """The line from `start` on, or up to the end of the formula that its end cuts in two."""
    while start < len(text) and (text[start].isspace() or text[start] == "*"):
        start += 1
    line_end = text.find("\n", start)
    line_end = len(text) if line_end < 0 else line_end
    for opener, closer in _DISPLAY_MATH:
        opened = text.find(opener, start, line_end)
        closed = text.find(closer, opened + 2) if opened >= 0 else -1
        if closed >= line_end:
            line_end = closed + len(closer)
            break
    line = _COURTESY.split(text[start:line_end], maxsplit=1)[0]
    return _EDGE.sub("", line.strip().strip("*").strip())


def _last_boxed(text: str, *, is_alone: bool = False) -> tuple[int, FinalAnswer | None]:
    """Position of the last box and its content, joined with the boxes right before it.

    Args:
        is_alone: what is fastened to a box and changes its value (`-\\boxed{5}`, `\\boxed{5}^2`) does not count.
    """
    boxes = _outer_boxes(text)
    if not boxes:
        return -1, None
    parts: list[str] = []
    follower = -1
    for box in reversed(boxes):
        if box.content is None:
            break
        if follower >= 0 and not _is_connective(text[box.end : follower], is_list=len(parts) > 1):
            break
        parts.append(box.content if is_alone else _with_fastened(text, box.content, box.start, box.end))
        follower = box.start
    stripped = [_EDGE.sub("", part) for part in reversed(parts)]
    distinct = list(dict.fromkeys(part for part in stripped if part))
    return boxes[-1].start, FinalAnswer(text=", ".join(distinct), marker=BOXED) if distinct else None


class _Box(NamedTuple):
    """A box at text[start:end]; its content is None if its brace is never closed."""

    start: int
    end: int
    content: str | None


def _outer_boxes(text: str) -> list[_Box]:
    """The last boxes in order, without those that lie in another one: that one states all that is in it."""
    marks = list(_BOX.finditer(text))[-_MAX_JOINED:]
    closes = _closing_braces(text, marks[0].end()) if marks else {}
    found: list[_Box] = []
    end = -1
    for mark in marks:
        if mark.start() >= end:
            found.append(_box(text, mark, closes))
            end = found[-1].end
    return found


def _closing_braces(text: str, start: int) -> dict[int, int]:
    """Position of every brace that opens behind `start` and is closed -> where its group ends, in one pass."""
    closes: dict[int, int] = {}
    opened: list[int] = []
    for brace in _BRACE.finditer(text, start):
        if brace[0] == "{":
            opened.append(brace.start())
        elif opened:
            closes[opened.pop()] = brace.end()
    return closes


def _box(text: str, mark: re.Match[str], closes: dict[int, int]) -> _Box:
    """The box with its braced group or the bare value of ``\\boxed 7``; one that only frames another has that one's."""
    at = mark.end()
    if not text.startswith("{", at):
        bare = _BARE_VALUE.match(text, at)
        return _Box(mark.start(), bare.end(), bare[0].rstrip(".,;")) if bare else _Box(mark.start(), at, None)
    if at not in closes:
        return _Box(mark.start(), at, None)
    start, end = at + 1, closes[at] - 1
    while framed := _FRAMED.match(text, start, end):
        inner = closes.get(framed.end())
        if inner is None or text[inner:end].strip(" \n$."):
            break
        start, end = framed.end() + 1, inner - 1
    return _Box(mark.start(), closes[at], text[start:end].strip())


def _with_fastened(text: str, content: str, start: int, end: int) -> str:
    """The content of the box at text[start:end] with what changes or denies it: a minus, a power, `not`, `is wrong`."""
    if not content:
        return content
    behind = _FASTENED.match(text, end)
    content += behind[0] if behind else ""
    if _MINUS.search(text[max(0, start - 3) : start]):
        is_one = re.fullmatch(r"[\w.]+|\\[dt]?frac\{\w+\}\{\w+\}", content)
        content = f"-{content}" if is_one else f"-({content})"
    is_denied = _DENIED_BEFORE.search(text[max(0, start - _MAX_DENIAL_CHARS) : start])
    return rf"\text{{not }}{content}" if is_denied or _DENIED_BEHIND.match(text, end) else content


def _is_connective(between: str, *, is_list: bool) -> bool:
    """Whether what stands between two boxes makes them one answer; in a list a comma is enough."""
    if len(between) > _MAX_BETWEEN_CHARS:
        return False
    if not _CONNECTIVE.sub("", between):
        return True
    words = between.strip(" \t$,()")
    goes_on = _CONJUNCTION.search(words) is not None or (is_list and between.rstrip(" $").endswith(","))
    return goes_on and _LIST_WORDS.fullmatch(words) is not None and _DERIVES.search(words) is None
