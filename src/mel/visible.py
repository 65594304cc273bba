"""Text that a model wrote, with nothing in it that a reader would not see.

Control characters command a terminal, directional overrides show a text in another order than it has, and zero-width
characters hide a text in another. Whatever prints a text that a model or a data set wrote sends it through here.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

Spans = Sequence[tuple[int, int]]

HIDDEN = (
    # Controls but tab and newline. A carriage return too: in a terminal what follows it covers the line.
    "\x00-\x08\x0b-\x1f\x7f-\x9f"
    # Half a surrogate pair, which a byte-level tokenizer can decode to and no UTF-8 can hold.
    "\ud800-\udfff"
    # Line and paragraph separators, and the marks around annotations.
    "\u2028\u2029\ufff9-\ufffb"
    # All that Unicode calls default ignorable (DerivedCoreProperties.txt): soft hyphen, joiners, directional marks,
    # embeddings, overrides and isolates, fillers, variation selectors, byte order mark, tags.
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""As a class of a regular expression."""

_SYMBOLS = "\u2190-\u2bff\U0001f000-\U0001faff"
_JOINED = "\u0620-\u08ff\u0900-\u109f\u1780-\u17b3\u1820-\u18af"
"""Scripts, from Arabic to Mongolian, in which a joiner between two letters is spelling."""

_LEGITIMATE = (
    f"(?<=[{_JOINED}])[\u200c\u200d](?=[{_JOINED}])|(?<=[{_SYMBOLS}\ufe0f])\u200d(?=[{_SYMBOLS}])"
    f"|(?<=[\u00a9\u00ae\u203c-\u3299{_SYMBOLS}])[\ufe0e\ufe0f]|(?<=[#*0-9])\ufe0f(?=\u20e3)"
)
_FOUND = re.compile(f"(?P<legitimate>{_LEGITIMATE})|[{HIDDEN}]")


def visible(text: str) -> str:
    """The text with every hidden character as its code point, `<U+202E>`, as `less` shows it.

    What stays: newline and tab; a joiner between two letters of a script that is spelled with it (Arabic, Persian,
    Indic) or between two emoji; one variation selector behind a symbol. Not the tags of three flags: they are letters
    that no reader sees.
    """
    return _FOUND.sub(_marked, text)


def visible_with_spans(text: str, spans: Spans) -> tuple[str, list[tuple[int, int]]]:
    """`visible(text)`, and where these half-open spans of the text lie in it."""
    found = [m for m in _FOUND.finditer(text) if m.lastgroup is None]
    ends = [m.end() for m in found]
    grown = [0, *accumulate(len(_marked(m)) - 1 for m in found)]
    return visible(text), [
        (start + grown[bisect_right(ends, start)], end + grown[bisect_right(ends, end)]) for start, end in spans
    ]


def escaped(text: str) -> str:
    """JSON that a terminal can print: hidden characters are escaped, so that a program reads what was written."""
    return _FOUND.sub(lambda found: found[0] if found.lastgroup else json.dumps(found[0])[1:-1], text)


def _marked(found: re.Match[str]) -> str:
    return found[0] if found.lastgroup else f"<U+{ord(found[0]):04X}>"
