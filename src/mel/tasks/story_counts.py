"""Story counts: a world in which every step of a solution can be checked and every misconception has a name.

A problem is a start and events (``start 53 1) catches 4 2) sorts 2 3) loses 5``); each of 60 verbs adds, takes
away or leaves the count as it is. A solution reads the events in turn (``1) catches plus 4 = 57 ... answer 52``),
so its first error is known exactly. What a policy gets wrong is the meaning of verbs: the world's seed says which.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mel.types import MetaExperience, Problem, Step, Verdict

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

_SHARES = {"train": range(6), "validation": range(6, 7), "test": range(7, 8)}
"""Split -> the classes, of eight, that a problem's checksum may fall in: no problem is in two splits."""

_STEP = re.compile(r"(\d+)\)\s+(\w+)\s+(\w+)\s+(\d+)\s+=\s+(\d+)")
_SOLUTION = re.compile(r"(?:rule\s+\w+\s+means\s+\w+\s+)?(\d+\).*?)\s+answer\s+(\d+)", re.DOTALL)
_RULE = re.compile(r"(\w+)\s+means\s+(\w+)")


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


def read(story: Story, belief: Callable[[str, int], str]) -> tuple[Reading, ...]:
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


def steps_text(readings: Sequence[Reading]) -> str:
    """``1) catches plus 4 = 57 2) ...``: six words a step, without the answer."""
    return " ".join(f"{i}) {r.verb} {r.meaning} {r.amount} = {r.count}" for i, r in enumerate(readings, 1))


def solution_text(readings: Sequence[Reading]) -> str:
    """The steps and the final answer."""
    return f"{steps_text(readings)} answer {readings[-1].count}"


def experience_text(step: int, verb: str, *, bad: str, good: str) -> str:
    """M for the error at event ``step`` (from 0): s* and the critique, then the heuristic."""
    return f"at {step + 1}) {verb} not {bad} rule {verb} means {good}"


def draw_story(rng: random.Random, length: int, split: str) -> Story:
    """The first story from ``rng`` that belongs to that split."""
    while True:
        events = tuple((rng.choice(VERBS), rng.randrange(1, 6)) for _ in range(length))
        story = Story(start=rng.randrange(40, 61), events=events)
        if split_of(story.text) == split:
            return story


def split_of(text: str) -> str:
    """The one split a problem can occur in: the checksum of its text says so."""
    share = zlib.crc32(text.encode()) % 8
    return next(split for split, shares in _SHARES.items() if share in shares)


def misconceptions(world: int, share: float = 0.3) -> dict[str, str]:
    """Misconceived verb -> the one wrong meaning it is taken for in this world."""
    rng = random.Random(world)
    verbs = list(VERBS)
    rng.shuffle(verbs)
    wrong = {verb: rng.choice([m for m in MEANINGS if m != TRUE_MEANING[verb]]) for verb in VERBS}
    return {verb: wrong[verb] for verb in sorted(verbs[: round(len(verbs) * share)])}


class StoryCounts:
    """The task: seeded problems, an exact verifier, and the truth about steps and rules.

    Args:
        world: seed of the problems and of the misconceptions planted in the policy of the same world.
        length: events of a problem, 1 to 8.
        misconceived: share of the 60 verbs that the world's policy has been taught wrong.
        train_size, test_size: how many problems "all of a split" means; more can be asked for.

    Raises:
        ValueError: a value out of range.
    """

    name: str = "story_counts"
    prompt_set: str = "story_counts"

    def __init__(
        self,
        *,
        world: int = 0,
        length: int = 5,
        misconceived: float = 0.3,
        train_size: int = 4096,
        test_size: int = 256,
    ) -> None:
        if not 1 <= length <= MAX_EVENTS:
            raise ValueError(f"story_counts: length is the number of events, 1 to {MAX_EVENTS}; got {length}")
        if not 0 <= misconceived <= 1:
            raise ValueError(f"story_counts: misconceived is a share, 0 to 1; got {misconceived}")
        if world < 0 or train_size < 1 or test_size < 1:
            raise ValueError(
                f"story_counts: world must be 0 or more and sizes 1 or more; got {world=}, {train_size=}, {test_size=}"
            )
        self.world = world
        self.length = length
        self.misconceptions = misconceptions(world, misconceived)
        self._sizes = {"train": train_size, "validation": test_size, "test": test_size}

    def problems(self, split: str, count: int | None = None) -> list[Problem]:
        """The first ``count`` problems; splits are ``train``, ``validation`` and ``test``, and share none."""
        if split not in self._sizes:
            raise ValueError(f"story_counts: expected a split of {', '.join(self._sizes)}; got {split!r}")
        return [self._problem(split, i) for i in range(self._sizes[split] if count is None else count)]

    def _problem(self, split: str, index: int) -> Problem:
        key = f"w{self.world}-{split}-{self.length}-{index}"
        story = draw_story(random.Random(key), self.length, split)
        return Problem(
            id=key,
            text=story.text,
            answer=str(true_readings(story)[-1].count),
            metadata={
                "length": self.length,
                "misconceived": [v for v, _ in story.events if v in self.misconceptions],
                "solution": solution_text(true_readings(story)),
            },
        )

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        """Right iff the response is well formed and ends in the true count, however it got there."""
        return [_verdict(p, r) for p, r in zip(problems, responses, strict=True)]

    def steps(self, solution: str) -> tuple[Step, ...]:
        """The ``k)`` segments; none if they are not numbered from 1 in order or hold anything else.

        A recalled rule before them and the answer after them belong to no step.
        """
        matches = list(_STEP.finditer(solution))
        is_numbered = [int(m[1]) for m in matches] == list(range(1, len(matches) + 1))
        is_whole = all(not solution[a.end() : b.start()].strip() for a, b in pairwise(matches))
        if not (is_numbered and is_whole):
            return ()
        return tuple(Step(number=i, start=m.start(), end=m.end()) for i, m in enumerate(matches, 1))

    def first_error(self, problem: Problem, response: str) -> int | None:
        """Number of the first step that is not as it should be; a missing or surplus step counts as one.

        None if every step is right (then at most the answer is wrong) or if no steps can be read.
        """
        steps = self.steps(response)
        wanted = [f"{i}) {r.verb} {r.meaning} {r.amount} = {r.count}" for i, r in _numbered_truth(problem)]
        if not steps:
            return None
        for step, truth in zip(steps, wanted, strict=False):
            if response[step.start : step.end].split() != truth.split():
                return step.number
        return None if len(steps) == len(wanted) else min(len(steps), len(wanted)) + 1

    def is_true_rule(self, problem: Problem, heuristic: str) -> bool | None:
        """Whether every ``verb means meaning`` of the heuristic holds in the world."""
        rules = [(verb, meaning) for verb, meaning in _RULE.findall(heuristic) if verb in TRUE_MEANING]
        return all(TRUE_MEANING[verb] == meaning for verb, meaning in rules) if rules else None

    def note(self, problem: Problem, response: str, *, is_true: bool = True) -> MetaExperience | None:
        """M about the first wrong step, or with the two meanings turned round; None where no such step is there."""
        error, steps = self.first_error(problem, response), self.steps(response)
        events = Story.parse(problem.text).events
        if error is None or error > min(len(steps), len(events)):
            return None
        verb = events[error - 1][0]
        good, said = TRUE_MEANING[verb], response[steps[error - 1].start : steps[error - 1].end].split()[2]
        others = [m for m in MEANINGS if m != good]
        bad = said if said in others else random.Random(problem.id).choice(others)
        good, bad = (good, bad) if is_true else (bad, good)
        text = experience_text(error - 1, verb, bad=bad, good=good)
        critique, _, heuristic = text.partition(" rule ")
        return MetaExperience(bifurcation=error, critique=critique, heuristic=f"rule {heuristic}", text=text)


def _numbered_truth(problem: Problem) -> list[tuple[int, Reading]]:
    return list(enumerate(true_readings(Story.parse(problem.text)), 1))


def _verdict(problem: Problem, response: str) -> Verdict:
    found = _SOLUTION.fullmatch(response.strip())
    if found is None:
        ends_in_answer = re.search(r"\banswer\s+\d+\s*$", response)
        return Verdict(is_correct=False, reason="malformed" if ends_in_answer else "no_final_answer")
    words = found[1].split()
    steps = [words[i : i + 6] for i in range(0, len(words), 6)]
    if not all(_STEP.fullmatch(" ".join(s)) and s[0] == f"{i})" for i, s in enumerate(steps, 1)):
        return Verdict(is_correct=False, reason="malformed", detail="steps are `k) verb meaning amount = count`")
    is_correct = found[2] == problem.answer
    return Verdict(is_correct=is_correct, reason="right" if is_correct else "wrong", detail=f"answer {found[2]}")
