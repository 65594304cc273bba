"""Quoting: a problem or a solution put into an instruction stays data, whatever it contains."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial

_TAG = re.compile(r"</?(\w+)>")
_TURN = re.compile(r"^([ \t]*)(user|assistant|system|human)([ \t]*:)", re.IGNORECASE | re.MULTILINE)


def tags_of(template: str) -> frozenset[str]:
    """Names of the tags by which a template fences its placeholders; empty if it fences nothing."""
    return frozenset(_TAG.findall(template))


def quoted(text: str, tags: frozenset[str], headings: Iterable[re.Pattern[str]] = ()) -> str:
    """The text with everything made harmless that could end its fence or pass for a part of the instruction.

    A tag of the template loses its shape (`</problem>` becomes `< /problem>`), and a line that looks like a heading
    of the instruction or like the start of a chat turn is marked as a quotation (`| `). Any other text comes back as it
    is.

    Args:
        tags: the template's tags; without any (a template that fences nothing) the text is returned unchanged.
        headings: patterns of the sections that the instruction asks for; none for an experience, which has them.
    """
    if not tags:
        return text
    names = "|".join(sorted(map(re.escape, tags)))
    text = re.sub(rf"<(\s*/?\s*(?:{names})\b)", r"< \1", text, flags=re.IGNORECASE)
    text = _TURN.sub(r"\1| \2\3", text)
    for heading in headings:
        text = heading.sub(lambda match: f"| {match[0]}", text)
    return text


def without_marks(text: str, *marks: str) -> str:
    """A step's text without what looks like the label of a step: `[Step 3]` becomes `(Step 3)`.

    Args:
        marks: labels of steps and the like, a number in the place of each `{name}`. Only those in square brackets are
            looked for.
    """
    for mark in marks:
        bare = mark.strip()
        if bare.startswith("[") and bare.endswith("]"):
            parts = re.split(r"\{\w+\}", bare[1:-1])
            pattern = r"\s*(\d+)\s*".join(map(re.escape, parts))
            text = re.sub(rf"\[\s*{pattern}\s*\]", partial(_in_parentheses, parts), text, flags=re.IGNORECASE)
    return text


def _in_parentheses(parts: Sequence[str], match: re.Match[str]) -> str:
    return "(" + parts[0] + "".join(number + part for number, part in zip(match.groups(), parts[1:], strict=True)) + ")"


def broken_specials(text: str, specials: Iterable[str]) -> str:
    """The text with every special token of the tokenizer split by a space, so that it is encoded as ordinary text."""
    found = sorted((token for token in specials if len(token) > 1 and token in text), key=len, reverse=True)
    for token in found:
        text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
