"""Story counts: a world in which every step of a solution can be checked and every misconception has a name.

A problem is a start and events (``start 53 1) catches 4 2) sorts 2 3) loses 5``); each of 60 verbs adds, takes
away or leaves the count as it is. A solution reads the events in turn (``1) catches plus 4 = 57 ... answer 52``),
so its first error is known exactly. What a policy gets wrong is the meaning of verbs: the world's seed says which.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mel.tasks.small_world import (
    Belief,
    SmallWorldTask,
    WorldKind,
    misconceptions_of,
    solution_text,
    steps_text,
)

__all__ = [
    "MAX_EVENTS",
    "MEANINGS",
    "MINUS",
    "PLUS",
    "SAME",
    "STORIES",
    "TRUE_MEANING",
    "VERBS",
    "Reading",
    "Story",
    "StoryCounts",
    "misconceptions",
    "read",
    "solution_text",
    "steps_text",
    "true_readings",
]

# fmt: off
PLUS = ("finds", "buys", "wins", "earns", "gets", "picks", "catches", "gains", "borrows", "collects",
        "receives", "inherits", "grows", "bakes", "makes", "draws", "steals", "fetches", "gathers", "mines")
MINUS = ("loses", "sells", "gives", "eats", "drops", "spends", "breaks", "lends", "donates", "burns",
         "throws", "mails", "wastes", "pays", "spills", "feeds", "tosses", "returns", "trades", "bets")
SAME = ("sees", "paints", "counts", "admires", "washes", "sorts", "photographs", "stacks", "labels", "hides",
        "polishes", "weighs", "likes", "names", "describes", "compares", "measures", "wraps", "shines", "folds")
# fmt: on
VERBS = PLUS + MINUS + SAME
MEANINGS = ("plus", "minus", "same")
TRUE_MEANING: Mapping[str, str] = {
    verb: meaning for verbs, meaning in ((PLUS, "plus"), (MINUS, "minus"), (SAME, "same")) for verb in verbs
}

MAX_EVENTS = 8
"""With starts from 40 to 60 and amounts up to 5, every count stays in 0..100."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """What a problem says: the count at the start and the (verb, amount) of each event."""

    start: int
    events: tuple[tuple[str, int], ...]

    @property
    def text(self) -> str:
        """The problem as the policy sees it."""
        events = " ".join(f"{i}) {verb} {amount}" for i, (verb, amount) in enumerate(self.events, 1))
        return f"start {self.start} {events}"

    @property
    def concepts(self) -> tuple[str, ...]:
        """The verb of each event."""
        return tuple(verb for verb, _ in self.events)

    @staticmethod
    def parse(text: str) -> Story:
        """The story behind a problem's text.

        Raises:
            ValueError: the text is not a problem of this world.
        """
        words = text.split()
        events = tuple((words[i + 1], int(words[i + 2])) for i in range(2, len(words) - 2, 3))
        story = Story(start=int(words[1]), events=events) if words[:1] == ["start"] and events else None
        if story is None or story.text != " ".join(words):
            raise ValueError(f"expected a story such as `start 53 1) catches 4 2) sorts 2`; got {text!r}")
        return story


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One step of a solution: how an event was read, and the count after it."""

    verb: str
    meaning: str
    amount: int
    count: int

    @property
    def concept(self) -> str:
        """The verb."""
        return self.verb

    @property
    def text(self) -> str:
        """``catches plus 4 = 57``."""
        return f"{self.verb} {self.meaning} {self.amount} = {self.count}"

    @property
    def value(self) -> str:
        """The count after the event."""
        return str(self.count)


def read(story: Story, belief: Belief) -> tuple[Reading, ...]:
    """The steps of whoever reads the verb of event i (from 0) as ``belief(verb, i)`` and counts without a slip."""
    count, readings = story.start, []
    for i, (verb, amount) in enumerate(story.events):
        meaning = belief(verb, i)
        count += {"plus": amount, "minus": -amount, "same": 0}[meaning]
        readings.append(Reading(verb=verb, meaning=meaning, amount=amount, count=count))
    return tuple(readings)


def true_readings(story: Story) -> tuple[Reading, ...]:
    """The steps of the right solution."""
    return read(story, lambda verb, _: TRUE_MEANING[verb])


def _draw(rng: random.Random, length: int) -> Story:
    events = tuple((rng.choice(VERBS), rng.randrange(1, 6)) for _ in range(length))
    return Story(start=rng.randrange(40, 61), events=events)


STORIES = WorldKind(
    name="story_counts",
    truth=TRUE_MEANING,
    meanings=MEANINGS,
    operations="events",
    max_length=MAX_EVENTS,
    numbers=tuple(str(i) for i in range(101)),
    step=re.compile(r"(?P<number>\d+)\)\s+(?P<concept>\w+)\s+(?P<meaning>\w+)\s+\d+\s+=\s+\d+"),
    form="k) verb meaning amount = count",
    step_words=6,
    value=r"\d+",
    draw=_draw,
    parse=Story.parse,
    read=read,
)


def misconceptions(world: int, share: float = 0.3) -> dict[str, str]:
    """Misconceived verb -> the one wrong meaning it is taken for in this world."""
    return misconceptions_of(STORIES, world, share)


class StoryCounts(SmallWorldTask):
    """The task: seeded problems, an exact verifier, and the truth about steps and rules.

    Args:
        world: seed of the problems and of the misconceptions planted in the policy of the same world.
        length: events of a problem, 1 to 8.
        misconceived: share of the 60 verbs that the world's policy has been taught wrong.
        train_size, test_size: how many problems "all of a split" means; more can be asked for.

    Raises:
        ValueError: a value out of range.
    """

    def __init__(
        self,
        *,
        world: int = 0,
        length: int = 5,
        misconceived: float = 0.3,
        train_size: int = 4096,
        test_size: int = 256,
    ) -> None:
        super().__init__(
            STORIES,
            world=world,
            length=length,
            misconceived=misconceived,
            train_size=train_size,
            test_size=test_size,
        )
