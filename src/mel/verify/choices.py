"""Multiple choice: the letter that a gold is, and an answer that names it, alone or before its content."""

from __future__ import annotations

import re

from mel.verify.notation import normalized

_CHOICE = re.compile(r"\(?([A-J])\)?")
_CHOSEN = re.compile(r"(?:\\text\s*\{)?\s*(?:\(([A-J])\)|([A-J])[).:])\s*\}?\s*(?=\S)")
_OTHER_CHOICE = re.compile(r"(?<![a-zA-Z\\])[A-J](?:[).:]|\s*$)|\b(?:or|and|not|no|wrong|incorrect|false|but)\b")


def letters_of(gold: str) -> str:
    """The letter or letters of a multiple choice that the gold is; empty if it is something else."""
    bare = re.sub(r"\\text\s*\{\s*([^{}]*)\}", r"\1", normalized(gold)).strip()
    match = _CHOICE.fullmatch(bare)
    if match:
        return match[1]
    return bare if re.fullmatch("[A-F]{2,6}", bare) and list(bare) == sorted(set(bare)) else ""


def same_choice(letters: str, answer: str) -> bool:
    """Whether an answer names the letter, alone or with its content behind it, and no other; several in any order."""
    bare = re.sub(r"\\text\s*\{\s*([^{}]*)\}", r"\1 ", normalized(answer)).strip()
    if len(letters) == 1:
        chosen = _CHOSEN.match(bare)
        if chosen:
            return not _OTHER_CHOICE.search(bare[chosen.end() :]) and (chosen[1] or chosen[2]) == letters
        return bool(re.fullmatch(rf"\(?{letters}\)?", bare, re.IGNORECASE))
    found = re.sub(r"[\s,;()]|\band\b", "", bare)
    return found.isalpha() and sorted(found.upper()) == sorted(letters) and found.upper() == found
