"""A kind of small world, and the task over any of them: chains of named operations of which a policy misreads some.

A problem is a start and numbered operations; every operation is named by a concept with one true meaning. A solution
reads the concepts in turn and says what results (``1) catches plus 4 = 57 ... answer 57``), so its first error is
known exactly. What a policy gets wrong is the meaning of concepts: the world's seed says which, and for what it takes
them. A kind says what a start, an operation and a result are; story counts, rewriting and straight-line programs are
kinds. Splits, verdicts, steps and the truth about them are the same for all and are here.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, Protocol, TypeVar

from mel.tasks.drawn import refuse_unknown, split_of
from mel.types import MetaExperience, Problem, Step, Verdict

Belief = Callable[[str, int], str]
"""(concept, number of the operation from 0) -> what somebody takes the concept to mean there."""

_RULE = re.compile(r"(\w+)\s+means\s+(\w+)")


class Chain(Protocol):
    """What a problem says."""

    @property
    def text(self) -> str:
        """The problem as the policy sees it."""
        ...

    @property
    def concepts(self) -> tuple[str, ...]:
        """The concept of each operation, in order."""
        ...


class Reading(Protocol):
    """One step of a solution: how an operation was read, and what resulted."""

    @property
    def concept(self) -> str:
        """What the operation is called."""
        ...

    @property
    def meaning(self) -> str:
        """What it was taken for."""
        ...

    @property
    def text(self) -> str:
        """The step without its number."""
        ...

    @property
    def value(self) -> str:
        """The result, as the answer would state it."""
        ...


C = TypeVar("C", bound=Chain)


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldKind(Generic[C]):
    """The language of a kind of world.

    Args:
        name: of the task.
        truth: concept -> its meaning.
        meanings: everything that a concept can be taken for.
        operations: what its operations are called, in the plural.
        max_length: operations of the longest problem.
        words: what problems and steps hold besides concepts, meanings, numbers and the words of every kind.
        numbers: number words by increasing value, from 0; empty if there are none.
        step: one step with its number; groups ``number``, ``concept`` and ``meaning``.
        form: the same as a person would write it down.
        step_words: words of the longest step.
        value: a regular expression of a result.
        draw: a random problem of so many operations.
        parse: the problem behind its text; a ValueError if it is none of this kind.
        read: the steps of whoever reads operation i as the belief says and makes no slip otherwise.
    """

    name: str
    truth: Mapping[str, str]
    meanings: tuple[str, ...]
    operations: str
    max_length: int
    words: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    step: re.Pattern[str]
    form: str
    step_words: int
    value: str
    draw: Callable[[random.Random, int], C]
    parse: Callable[[str], C]
    read: Callable[[C, Belief], tuple[Reading, ...]]


def true_readings_of(kind: WorldKind[C], chain: C) -> tuple[Reading, ...]:
    """The steps of the right solution."""
    return kind.read(chain, lambda concept, _: kind.truth[concept])


def steps_text(readings: Sequence[Reading]) -> str:
    """``1) catches plus 4 = 57 2) ...``: the numbered steps, without the answer."""
    return " ".join(f"{i}) {r.text}" for i, r in enumerate(readings, 1))


def solution_text(readings: Sequence[Reading]) -> str:
    """The steps and the final answer."""
    return f"{steps_text(readings)} answer {readings[-1].value}"


def experience_text(step: int, concept: str, *, bad: str, good: str) -> str:
    """M for the error at operation ``step`` (from 0): s* and the critique, then the heuristic."""
    return f"at {step + 1}) {concept} not {bad} rule {concept} means {good}"


def draw_chain(kind: WorldKind[C], rng: random.Random, length: int, split: str) -> C:
    """The first problem from ``rng`` that belongs to that split."""
    while True:
        chain = kind.draw(rng, length)
        if split_of(chain.text) == split:
            return chain


def misconceptions_of(kind: WorldKind[Any], world: int, share: float) -> dict[str, str]:
    """Misconceived concept -> the one wrong meaning it is taken for in this world."""
    rng = random.Random(world)
    concepts = list(kind.truth)
    rng.shuffle(concepts)
    wrong = {c: rng.choice([m for m in kind.meanings if m != kind.truth[c]]) for c in kind.truth}
    return {c: wrong[c] for c in sorted(concepts[: round(len(concepts) * share)])}


class SmallWorldTask:
    """The task over one world of a kind: seeded problems, an exact verifier, and the truth about steps and rules.

    Args:
        world: seed of the problems and of the misconceptions planted in the policy of the same world.
        length: operations of a problem.
        misconceived: share of the concepts that the world's policy has been taught wrong.
        train_size, test_size: how many problems "all of a split" means; more can be asked for.

    Raises:
        ValueError: a value out of range.
    """

    # The miniature's prompts have no word of any world in them.
    prompt_set: str = "story_counts"

    def __init__(
        self, kind: WorldKind[Any], *, world: int, length: int, misconceived: float, train_size: int, test_size: int
    ) -> None:
        self.name = kind.name
        if not 1 <= length <= kind.max_length:
            raise ValueError(
                f"{self.name}: length is the number of {kind.operations}, 1 to {kind.max_length}; got {length}"
            )
        if not 0 <= misconceived <= 1:
            raise ValueError(f"{self.name}: misconceived is a share, 0 to 1; got {misconceived}")
        if world < 0 or train_size < 1 or test_size < 1:
            raise ValueError(
                f"{self.name}: world must be 0 or more and sizes 1 or more; got {world=}, {train_size=}, {test_size=}"
            )
        self.kind, self.world, self.length = kind, world, length
        self.misconceptions = misconceptions_of(kind, world, misconceived)
        self._sizes = {"train": train_size, "validation": test_size, "test": test_size}
        self._solution = re.compile(rf"(?:rule\s+\w+\s+means\s+\w+\s+)?(\d+\).*?)\s+answer\s+({kind.value})", re.DOTALL)
        self._stated = re.compile(rf"\banswer\s+{kind.value}\s*$")

    def problems(self, split: str, count: int | None = None) -> list[Problem]:
        """The first ``count`` problems; splits are ``train``, ``validation`` and ``test``, and share none."""
        refuse_unknown(split, self._sizes, task=self.name)
        return [self._problem(split, i) for i in range(self._sizes[split] if count is None else count)]

    def _problem(self, split: str, index: int) -> Problem:
        key = f"w{self.world}-{split}-{self.length}-{index}"
        chain = draw_chain(self.kind, random.Random(key), self.length, split)
        readings = true_readings_of(self.kind, chain)
        return Problem(
            id=key,
            text=chain.text,
            answer=readings[-1].value,
            metadata={
                "length": self.length,
                "misconceived": [c for c in chain.concepts if c in self.misconceptions],
                "solution": solution_text(readings),
            },
        )

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        """Right iff the response is well formed and ends in the true result, however it got there."""
        return [self._verdict(p, r) for p, r in zip(problems, responses, strict=True)]

    def _verdict(self, problem: Problem, response: str) -> Verdict:
        found = self._solution.fullmatch(response.strip())
        if found is None:
            reason = "malformed" if self._stated.search(response) else "no_final_answer"
            return Verdict(is_correct=False, reason=reason)
        steps = self.steps(found[1])
        if not steps or steps[0].start > 0 or steps[-1].end < len(found[1]):
            return Verdict(is_correct=False, reason="malformed", detail=f"steps are `{self.kind.form}`")
        is_correct = found[2].split() == problem.answer.split()
        return Verdict(is_correct=is_correct, reason="right" if is_correct else "wrong", detail=f"answer {found[2]}")

    def steps(self, solution: str) -> tuple[Step, ...]:
        """The ``k)`` segments; none if they are not numbered from 1 in order or hold anything else.

        A recalled rule before them and the answer after them belong to no step.
        """
        matches = list(self.kind.step.finditer(solution))
        is_numbered = [int(m["number"]) for m in matches] == list(range(1, len(matches) + 1))
        is_whole = all(not solution[a.end() : b.start()].strip() for a, b in pairwise(matches))
        if not (is_numbered and is_whole):
            return ()
        return tuple(Step(number=i, start=m.start(), end=m.end()) for i, m in enumerate(matches, 1))

    def first_error(self, problem: Problem, response: str) -> int | None:
        """Number of the first step that is not as it should be; a missing or surplus step counts as one.

        None if every step is right (then at most the answer is wrong) or if no steps can be read.
        """
        steps = self.steps(response)
        if not steps:
            return None
        truth = true_readings_of(self.kind, self.kind.parse(problem.text))
        for step, reading in zip(steps, truth, strict=False):
            if response[step.start : step.end].split() != [f"{step.number})", *reading.text.split()]:
                return step.number
        return None if len(steps) == len(truth) else min(len(steps), len(truth)) + 1

    def note(self, problem: Problem, response: str, *, is_true: bool = True) -> MetaExperience | None:
        """M about the first wrong step, or with the two meanings turned round; None where no such step is there."""
        error, steps = self.first_error(problem, response), self.steps(response)
        concepts = self.kind.parse(problem.text).concepts
        if error is None or error > min(len(steps), len(concepts)):
            return None
        concept, step = concepts[error - 1], steps[error - 1]
        good, read = self.kind.truth[concept], self.kind.step.search(response, step.start, step.end)
        others = [m for m in self.kind.meanings if m != good]
        bad = read["meaning"] if read and read["meaning"] in others else random.Random(problem.id).choice(others)
        good, bad = (good, bad) if is_true else (bad, good)
        text = experience_text(error - 1, concept, bad=bad, good=good)
        critique, _, heuristic = text.partition(" rule ")
        return MetaExperience(bifurcation=error, critique=critique, heuristic=f"rule {heuristic}", text=text)

    def concept(self, problem: Problem, step: int) -> str | None:
        """What that operation turns on: a verb, for example."""
        concepts = self.kind.parse(problem.text).concepts
        return concepts[step - 1] if 1 <= step <= len(concepts) else None

    def is_true_rule(self, problem: Problem, heuristic: str) -> bool | None:
        """Whether every ``concept means meaning`` of the heuristic holds in the world."""
        rules = [(concept, meaning) for concept, meaning in _RULE.findall(heuristic) if concept in self.kind.truth]
        return all(self.kind.truth[concept] == meaning for concept, meaning in rules) if rules else None
