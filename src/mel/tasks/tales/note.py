"""Notes about the first wrong step of a solution: true ones, and false ones for a control."""

from __future__ import annotations

import random

from mel.tasks.tales.story import Event, rule_text
from mel.tasks.tales.verbs import MEANING_OF, MEANINGS, Meaning
from mel.types import MetaExperience


def experience_of(number: int, event: Event, *, bad: Meaning | None, good: Meaning) -> MetaExperience:
    """M for an error at that step, in the words that the warm-up teaches.

    Args:
        bad: what the step takes the verb to mean; None for a miscount.
    """
    taken = {"more": "a gain", "fewer": "a loss", "same": "no change"}
    why = "It counts wrongly." if bad is None else f'It takes "{event.phrase}" for {taken[bad]}.'
    failure, heuristic = f"First wrong step: {number}. {why}", rule_text(event.verb, good)
    text = f"## Failure point\n{failure}\n\n## Heuristic\n{heuristic}"
    return MetaExperience(bifurcation=number, critique=failure, heuristic=heuristic, text=text)


def note_about(number: int, line: str, verb: str, *, is_true: bool, key: str) -> MetaExperience:
    """M about a wrong step, or one that gives its verb a meaning which it does not have.

    Args:
        line: the step as it was written.
        key: seeds the choice of a false meaning.
    """
    good, said = MEANING_OF[verb], _said(line)
    event = Event(verb=verb, meaning=good, amount=0, phrase=line.partition(": ")[2].rpartition(",")[0] or line)
    if is_true:
        return experience_of(number, event, bad=said if said != good else None, good=good)
    others: list[Meaning] = [meaning for meaning in MEANINGS if meaning != good]
    bad = random.Random(key).choice(others)
    return experience_of(number, event, bad=good, good=bad)


def _said(line: str) -> Meaning:
    """What a step takes its verb to mean, by the sign it reckons with."""
    reckoned = line.rpartition(",")[2]
    return MEANINGS[0] if "+" in reckoned else MEANINGS[1] if " - " in reckoned else MEANINGS[2]
