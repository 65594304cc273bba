"""Steps of a solution written in prose: the numbered units that a critique points at."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

from mel.types import Step

_MIN_STEPS = 3

# Never cut inside one of these; one that is not closed runs to the end of the text.
_BLOCK = re.compile(
    r"\$\$.*?(?:\$\$|\Z)|\\\[.*?(?:\\\]|\Z)|```.*?(?:```|\Z)|\[asy\].*?(?:\[/asy\]|\Z)"
    r"|\\begin\{(?P<environment>[a-zA-Z]+\*?)\}.*?(?:\\end\{(?P=environment)\}|\Z)",
    re.DOTALL,
)
_INLINE = re.compile(r"(?<![\\$])\$[^$\n]+\$|\\\([^\n]*?\\\)|\\boxed\{[^\n{}]*\}")
_LABEL = re.compile(
    r"^[ \t]*(?:[#>*_\-]+[ \t]*)*(?:step|étape|schritt|paso|步骤)[ \t]*#?\d+|^[ \t#*]*第[一二三四五六七八九十\d]+步",
    re.IGNORECASE | re.MULTILINE,
)
_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")
_LINE = re.compile(r"\n\s*")
_SENTENCE = re.compile(r"(?<=[.!?])[\"')*]*\s+(?=[A-Z0-9\"'(*$\\])|(?<=[。!?;])\s*")
_ABBREVIATION = re.compile(
    r"\b(?:e\.g|i\.e|cf|vs|etc|resp|approx|Fig|Eq|No|Dr|Prof|Mr|Mrs|Ms|St|[A-Z]|\d{1,2})\.[\"')*]*$"
)
_FORMULA_ONLY = re.compile(r"\s*(?:\$\$|\\\[|\\begin\{|\[asy\])")


def prose_steps(solution: str) -> tuple[Step, ...]:
    """Steps of a solution by its own labels ("Step 2"), else its paragraphs, else its lines, else its sentences.

    The coarsest of these that gives at least three steps is taken (two for labels, which are meant), otherwise the one
    that gives most. Steps are contiguous, the first starts at the first visible character and the last ends with the
    text. Displayed formulas and code blocks are never cut, and a paragraph that is only a formula belongs to the text
    before it. Empty for a blank text.
    """
    first = len(solution) - len(solution.lstrip())
    if first == len(solution):
        return ()
    blocks = [match.span() for match in _BLOCK.finditer(solution)]
    labels = _outside(blocks, _labels(solution))
    if len(labels) >= 2:
        # What precedes the first label belongs to it, so that our numbers agree with the author's.
        return _steps([first, *labels[1:]], len(solution))
    best = [first]
    for cuts_of in (_paragraphs, _lines, _sentences):
        cuts = sorted({first, *(cut for cut in _outside(blocks, cuts_of(solution)) if first < cut < len(solution))})
        if len(cuts) > len(best):
            best = cuts
        if len(best) >= _MIN_STEPS:
            break
    return _steps(best, len(solution))


def _labels(text: str) -> list[int]:
    return [match.start() + len(match[0]) - len(match[0].lstrip()) for match in _LABEL.finditer(text)]


def _paragraphs(text: str) -> list[int]:
    return [m.end() for m in _PARAGRAPH.finditer(text) if not _FORMULA_ONLY.match(text, m.end())]


def _lines(text: str) -> list[int]:
    return [m.end() for m in _LINE.finditer(text) if not _FORMULA_ONLY.match(text, m.end())]


def _sentences(text: str) -> list[int]:
    inline = [match.span() for match in _INLINE.finditer(text)]
    ends = [
        match.end()
        for match in _SENTENCE.finditer(text)
        if not _ABBREVIATION.search(text, max(0, match.start() - 12), match.start())
        and not _FORMULA_ONLY.match(text, match.end())
    ]
    return _outside(inline, ends)


def _outside(spans: Sequence[tuple[int, int]], cuts: Sequence[int]) -> list[int]:
    """The cuts that fall inside no span; spans are in order and do not overlap."""
    starts = [start for start, _ in spans]
    kept: list[int] = []
    for cut in cuts:
        at = bisect_right(starts, cut) - 1
        if at < 0 or not spans[at][0] < cut < spans[at][1]:
            kept.append(cut)
    return kept


def _steps(starts: Sequence[int], end: int) -> tuple[Step, ...]:
    ends = [*starts[1:], end]
    return tuple(Step(number=i + 1, start=a, end=b) for i, (a, b) in enumerate(zip(starts, ends, strict=True)))
