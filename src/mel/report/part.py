"""A long text in part: its beginning, its end and what is to be seen, with a mark for what is left out."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

TEXT = 4_000
"""Characters of one text that the page shows at most, the marks aside."""

Span = tuple[int, int]


def in_part(text: str, spans: Sequence[Span] = (), *, about: Span | None = None) -> tuple[str, list[Span]]:
    """What is shown of a text, and where its spans lie in that; the text itself if it has at most `TEXT` characters.

    Args:
        spans: half-open, in order. One that is left out whole becomes empty.
        about: the span to be seen; its beginning is shown, and some of what comes before it.
    """
    if len(text) <= TEXT:
        return text, list(spans)
    kept = _kept(len(text), about)
    shown, starts = "", []
    for number, (start, end) in enumerate(kept):
        if number:
            shown += f" [... {start - kept[number - 1][1]:,} characters left out ...] "
        starts.append(len(shown))
        shown += text[start:end]
    return shown, [_moved(span, kept, starts) for span in spans]


def _kept(length: int, about: Span | None) -> list[Span]:
    """The parts of a text that are shown, in order and apart."""
    quarter = TEXT // 4
    if about is None:
        return [(0, 2 * quarter), (length - 2 * quarter, length)]
    start = min(max(about[0] - quarter // 2, quarter), length - 3 * quarter)
    parts = [(0, quarter), (start, start + 2 * quarter), (length - quarter, length)]
    apart = parts[:1]
    for part in parts[1:]:
        if part[0] <= apart[-1][1]:
            apart[-1] = (apart[-1][0], part[1])
        else:
            apart.append(part)
    return apart


def _moved(span: Span, kept: Sequence[Span], starts: Sequence[int]) -> Span:
    """The part of a span that is shown."""
    first = bisect_right([end for _, end in kept], span[0])
    last = bisect_left([start for start, _ in kept], span[1]) - 1
    if last < first:
        return (0, 0)
    start = starts[first] + max(0, span[0] - kept[first][0])
    end = starts[last] + min(span[1], kept[last][1]) - kept[last][0]
    return (start, end)
