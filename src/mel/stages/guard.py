"""Guard: does a meta-experience state the final answer? A replay that is handed the answer shows nothing."""

from __future__ import annotations

import re
import unicodedata

from mel.types import MetaExperience

_SIGN = "\N{SUPERSCRIPT MINUS}"
"""Stands for the minus of a negative number, so that 7 - 3 and 7-3 keep their 3 and "gets -3" does not."""

_BULLET = re.compile(r"^\s*[-*+]\s+", re.MULTILINE)
_DELIMITER = re.compile(r"\\(?:left|right|boxed|text[a-z]*|math[a-z]+)(?![a-z])|\\[()\[\] ]|\\?\$|[{}]")


def states_answer(experience: MetaExperience, answer: str, *, step_reference: re.Pattern[str]) -> bool:
    r"""Whether the answer stands in M as a word of its own.

    References to steps are taken out first: "step 3" does not leak the answer 3. The comparison ignores case,
    white space, compatibility forms of digits, thousands separators, and LaTeX's delimiters, fonts and braces.
    Numbers are compared as written (3 is not in 3.5, 13 or -3, but it is in 3/4), so short answers err on the
    side of calling a leak.
    """
    needle = _plain(answer)
    if not needle:
        return False
    text = _plain(step_reference.sub(" ", experience.text))
    before = rf"(?<![\w.{_SIGN}])" if needle[0].isalnum() else ""
    after = r"(?!\w|\.\d)" if needle[-1].isalnum() else ""
    return re.search(before + re.escape(needle) + after, text) is not None


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold().replace("\N{MINUS SIGN}", "-")
    text = re.sub(r"\{,\}|\\[,;!:]", lambda m: "," if "{" in m[0] else "", _BULLET.sub("", text))
    text = _DELIMITER.sub(" ", text.replace(r"\%", "%"))
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    text = re.sub(r"(?<![\w)\]])-(?=\.?\d)", _SIGN, text)
    # Spaces that touch a sign carry no meaning ("x = 3"); between words, and after a full stop, they keep words apart.
    return re.sub(r"\s*([^\w\s.])\s*", r"\1", re.sub(r"\s+", " ", text)).strip()
