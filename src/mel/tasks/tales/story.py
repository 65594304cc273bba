"""A tale: somebody has some things, things happen, how many are there now? And the solution, step by step."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mel.tasks.tales.verbs import MEANINGS, NAMES, QUESTIONS, SENTENCES, SHE, THINGS, Meaning

Belief = Callable[[str, int], Meaning]
"""(verb, number of the event from 0) -> what somebody takes the verb to mean there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One thing that happens.

    Args:
        phrase: the sentence without who does it, as the problem and the solution say it: `sells 4 of them`.
    """

    verb: str
    meaning: Meaning
    amount: int
    phrase: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Tale:
    """What a problem tells."""

    name: str
    things: str
    start: int
    events: tuple[Event, ...]
    question: str

    @property
    def text(self) -> str:
        """The problem as the policy sees it."""
        who = "She" if self.name in SHE else "He"
        happens = " ".join(f"{who} {event.phrase}." for event in self.events)
        return f"{self.name} has {self.start} {self.things}. {happens} {self.question}"


def draw_tale(
    rng: random.Random,
    verbs: Mapping[Meaning, Sequence[str]],
    *,
    length: int,
    wording: str = "seen",
    lowest: int = 0,
) -> Tale:
    """The first tale from ``rng`` in which nobody ever has fewer than ``lowest`` things.

    Args:
        wording: `seen` or `unseen` sentences, questions, names and things.
    """
    while True:
        name, things = rng.choice(NAMES[wording]), rng.choice(THINGS[wording])
        start = rng.randint(10, 30)
        events = []
        for _ in range(length):
            meaning = rng.choice(MEANINGS)
            verb, amount = rng.choice(verbs[meaning]), rng.randint(2, 9)
            phrase = rng.choice(SENTENCES[wording][meaning]).format(verb=verb, n=amount, things=things)
            events.append(Event(verb=verb, meaning=meaning, amount=amount, phrase=phrase))
        question = rng.choice(QUESTIONS[wording]).format(name=name, things=things)
        tale = Tale(name=name, things=things, start=start, events=tuple(events), question=question)
        if min(counts(tale)) >= lowest:
            return tale


def true_meaning(tale: Tale) -> Belief:
    """Who knows every verb."""
    return lambda _, i: tale.events[i].meaning


def counts(tale: Tale, belief: Belief | None = None) -> list[int]:
    """The number of things after each event for who reads the verbs so and counts without a slip."""
    belief = belief or true_meaning(tale)
    found, count = [], tale.start
    for i, event in enumerate(tale.events):
        count = after(count, belief(event.verb, i), event.amount)
        found.append(count)
    return found


def after(count: int, meaning: Meaning, amount: int) -> int:
    """The number of things after an event of that meaning."""
    return count + {"more": amount, "fewer": -amount, "same": 0}[meaning]


def step_text(number: int, phrase: str, meaning: Meaning, before: int, amount: int, count: int) -> str:
    """``Step 1: buys 5 more, 14 + 5 = 19`` or ``Step 2: counts 3 of them, still 19``."""
    sign = {"more": "+", "fewer": "-"}.get(meaning)
    reckoned = f"{before} {sign} {amount} = {count}" if sign else f"still {count}"
    return f"Step {number}: {phrase}, {reckoned}"


def steps_of(tale: Tale, belief: Belief | None = None, slips: Mapping[int, int] | None = None) -> list[str]:
    """The steps of a solution, one line each.

    Args:
        slips: number of an event, from 0 -> by how much its count is off.
    """
    belief, slips = belief or true_meaning(tale), slips or {}
    lines, count = [], tale.start
    for i, event in enumerate(tale.events):
        meaning, before = belief(event.verb, i), count
        count = after(count, meaning, event.amount) + slips.get(i, 0)
        lines.append(step_text(i + 1, event.phrase, meaning, before, event.amount, count))
    return lines


def solution_of(steps: Sequence[str]) -> str:
    """The steps with the final answer, which is the count that the last one arrives at."""
    return "\n".join([*steps, f"#### {steps[-1].rpartition(' ')[2]}"])


def rule_text(verb: str, meaning: Meaning) -> str:
    """The heuristic that settles a verb: ``If someone sells things, then the number gets smaller.``"""
    claim = {"more": "grows", "fewer": "gets smaller", "same": "stays the same"}[meaning]
    return f"If someone {verb} things, then the number {claim}."
