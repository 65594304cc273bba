"""Where a response states its program: the last fenced block of code outside of its thinking."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mel.verify.answers import without_thinking

_FENCE = re.compile(r"^[ ]{0,3}(?P<fence>`{3,}|~{3,})[ \t]*(?P<label>[^\n`]*)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeBlock:
    """A fenced block: its text lies at ``text[start:end]`` of the response that it was found in.

    Args:
        is_closed: its closing fence is there.
    """

    text: str
    start: int
    end: int
    is_closed: bool


def last_code_block(response: str) -> CodeBlock | None:
    """The last fenced block, whatever its label says; None if there is none.

    A block is closed by a fence of its own kind that is at least as long as the one that opened it and has no label.
    What stands in a thinking block counts for nothing, and one that was never closed ends the response.
    """
    text = without_thinking(response)
    offset = response.rfind(text) if text else 0
    found: CodeBlock | None = None
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif _closes(opened, fence):
            found = _block(text, offset, opened, fence.start(), is_closed=True)
            opened = None
    return found if opened is None else _block(text, offset, opened, len(text), is_closed=False)


def _closes(opened: re.Match[str], fence: re.Match[str]) -> bool:
    return fence["fence"].startswith(opened["fence"]) and not fence["label"].strip()


def _block(text: str, offset: int, opened: re.Match[str], end: int, *, is_closed: bool) -> CodeBlock:
    start = min(opened.end() + 1, len(text))
    return CodeBlock(
        text=text[start : max(start, end)], start=offset + start, end=offset + max(start, end), is_closed=is_closed
    )
