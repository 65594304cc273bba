"""Guard: does a meta-experience state the final answer? A replay that is handed the answer shows nothing."""

from __future__ import annotations

import re
import unicodedata

from mel.types import MetaExperience


def states_answer(experience: MetaExperience, answer: str, *, step_reference: re.Pattern[str]) -> bool:
    r"""Whether the answer stands in M as a word of its own.

    References to steps are taken out first: "step 3" does not leak the answer 3. The comparison ignores case,
    white space, compatibility forms of digits and LaTeX's `\left`, `\right`, `$` and braces, so it errs on the
    side of calling a leak.
    """
    needle = _plain(answer)
    if not needle:
        return False
    text = _plain(step_reference.sub(" ", experience.text))
    before = r"(?<![\w.])" if needle[0].isalnum() else ""
    after = r"(?!\w|\.\d)" if needle[-1].isalnum() else ""
    return re.search(before + re.escape(needle) + after, text) is not None


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold()
    text = re.sub(r"\\left|\\right|\\[,;! ]|[${}]", "", text)
    # Spaces that touch a sign carry no meaning ("x = 3"); between words they keep words apart.
    return re.sub(r"\s*([^\w\s])\s*", r"\1", re.sub(r"\s+", " ", text)).strip()
