"""Tales: word problems in plain English whose every step can be checked and whose verbs are what is to be learned."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from mel.tasks.drawn import refuse_unknown, split_of
from mel.tasks.tales.note import note_about
from mel.tasks.tales.story import Tale, counts, draw_tale
from mel.tasks.tales.verbs import MEANING_OF, PARTS, SENTENCES, VERBS, Meaning, dealt
from mel.types import MetaExperience, Problem, Step, Verdict
from mel.verify.answers import without_thinking

TAUGHT = 12
"""Verbs of each meaning that the warm-up teaches and no other part holds."""

MAX_LENGTH = 8

_STEP = re.compile(r"^[ \t]*Step[ \t]+(\d+)[ \t]*:[^\n]*", re.MULTILINE)
_EQUATION = re.compile(r"(-?\d+)\s*([-+])\s*(\d+)\s*=\s*(-?\d+)")
_NUMBER = re.compile(r"-?\d+")
_MARK = re.compile(r"####|\\boxed\{")
_ANSWER = re.compile(r"####[ \t]*(-?\d+)(?:[ \t]+[a-z]+)?[ \t]*\.?[ \t]*$|\\boxed\{\s*(-?\d+)\s*\}", re.MULTILINE)
_CLAIMS: dict[Meaning, re.Pattern[str]] = {
    "more": re.compile(r"\b(?:grows?|gets? (?:larger|bigger|higher)|goes up|increases?|rises?)\b"),
    "fewer": re.compile(r"\b(?:gets? (?:smaller|lower)|shrinks?|goes down|decreases?|falls?)\b"),
    "same": re.compile(r"\b(?:stays? (?:the same|as it is)|does not change|is unchanged|remains the same)\b"),
}
_VERB = re.compile("|".join(rf"\b{re.escape(verb)}\b" for verb in sorted(MEANING_OF, key=len, reverse=True)))


class Tales:
    """The task: seeded problems, an exact verifier, and the truth about steps and rules.

    Args:
        seed: of the problems and of which verbs are practiced and which are held out.
        length: events of a problem, 1 to 8.
        verbs: `seen`: those that training practices. `unseen`: held out, for tests. `taught`: the warm-up's.
        wording: `seen`, or held-out sentences, questions, names and things (`unseen`).
        practiced: how many verbs of each meaning are `seen`.
        train_size, test_size: how many problems "all of a split" means; more can be asked for.

    Raises:
        ValueError: a value out of range.
    """

    name: str = "tales"
    prompt_set: str = "tales"

    def __init__(
        self,
        *,
        seed: int = 0,
        length: int = 3,
        verbs: str = "seen",
        wording: str = "seen",
        practiced: int = 16,
        train_size: int = 4096,
        test_size: int = 256,
    ) -> None:
        most = len(VERBS["same"]) - TAUGHT - 1
        if not 1 <= length <= MAX_LENGTH:
            raise ValueError(f"tales: length is the number of events, 1 to {MAX_LENGTH}; got {length}")
        if verbs not in PARTS or wording not in SENTENCES:
            raise ValueError(
                f"tales: verbs is one of {', '.join(PARTS)} and wording one of {', '.join(SENTENCES)}; "
                f"got {verbs!r} and {wording!r}"
            )
        if not 1 <= practiced <= most:
            raise ValueError(f"tales: practiced is a number of verbs of each meaning, 1 to {most}; got {practiced}")
        if seed < 0 or train_size < 1 or test_size < 1:
            raise ValueError(
                f"tales: seed must be 0 or more and sizes 1 or more; got {seed=}, {train_size=}, {test_size=}"
            )
        self.seed, self.length, self.verbs, self.wording = seed, length, verbs, wording
        self.parts = dealt(seed, TAUGHT, practiced)
        self._sizes = {"train": train_size, "validation": test_size, "test": test_size}

    def problems(self, split: str, count: int | None = None) -> list[Problem]:
        """The first ``count`` problems; splits are ``train``, ``validation`` and ``test``, and share none."""
        refuse_unknown(split, self._sizes, task=self.name)
        return [self._problem(split, i) for i in range(self._sizes[split] if count is None else count)]

    def _problem(self, split: str, index: int) -> Problem:
        key = f"tales-{self.seed}-{split}-{self.verbs}-{self.wording}-{self.length}-{index}"
        rng = random.Random(f"{key} {len(self.parts['seen']['same'])}")
        verbs = next(self.parts[part] for part in PARTS if part == self.verbs)
        while split_of((tale := draw_tale(rng, verbs, length=self.length, wording=self.wording)).text) != split:
            pass
        return problem_of(tale, key)

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        """Right iff the last stated answer (after `####`, or boxed) is the true count, however it got there."""
        return [_verdict(p, r) for p, r in zip(problems, responses, strict=True)]

    def steps(self, solution: str) -> tuple[Step, ...]:
        """The lines `Step k: ...`; none if they are not numbered from 1 in order."""
        matches = list(_STEP.finditer(solution))
        if [int(m[1]) for m in matches] != list(range(1, len(matches) + 1)):
            return ()
        return tuple(Step(number=i, start=m.start(), end=m.end()) for i, m in enumerate(matches, 1))

    def first_error(self, problem: Problem, response: str) -> int | None:
        """Number of the first step that is not as it should be; a missing or surplus step counts as one.

        A step is right if the number it ends in is the true count and any sum it states holds. None if every step is
        right (then at most the answer is wrong) or if no steps can be read.
        """
        steps, wanted = self.steps(response), _true_counts(problem)
        if not steps:
            return None
        for step, count in zip(steps, wanted, strict=False):
            if not _is_right(response[step.start : step.end], count):
                return step.number
        return None if len(steps) == len(wanted) else min(len(steps), len(wanted)) + 1

    def concept(self, problem: Problem, step: int) -> str | None:
        """The verb of that event."""
        verbs = problem.metadata.get("verbs")
        return str(verbs[step - 1]) if isinstance(verbs, list) and 1 <= step <= len(verbs) else None

    def is_true_rule(self, problem: Problem, heuristic: str) -> bool | None:
        """Whether what the heuristic claims of the verbs it names holds; None without a verb or a single claim."""
        claimed = [meaning for meaning, pattern in _CLAIMS.items() if pattern.search(heuristic)]
        # "gets" is a verb of a tale, but not in "gets smaller".
        rest = heuristic
        for pattern in _CLAIMS.values():
            rest = pattern.sub(" ", rest)
        named = set(_VERB.findall(rest))
        return all(MEANING_OF[verb] == claimed[0] for verb in named) if named and len(claimed) == 1 else None

    def note(self, problem: Problem, response: str, *, is_true: bool = True) -> MetaExperience | None:
        """M about the first wrong step, or one that gives its verb a wrong meaning; None without such a step."""
        error, steps, verbs = self.first_error(problem, response), self.steps(response), problem.metadata["verbs"]
        if error is None or not isinstance(verbs, list) or error > min(len(steps), len(verbs)):
            return None
        line = response[steps[error - 1].start : steps[error - 1].end].strip()
        return note_about(error, line, verbs[error - 1], is_true=is_true, key=problem.id)


def problem_of(tale: Tale, key: str) -> Problem:
    """The tale as a problem, with what its steps must arrive at."""
    return Problem(
        id=key,
        text=tale.text,
        answer=str(counts(tale)[-1]),
        metadata={
            "counts": counts(tale),
            "verbs": [event.verb for event in tale.events],
            "meanings": [event.meaning for event in tale.events],
        },
    )


def _true_counts(problem: Problem) -> list[int]:
    found = problem.metadata.get("counts")
    if not isinstance(found, list):
        raise ValueError(f"tales: expected a problem of this task, with counts in its metadata; got {problem.id!r}")
    return found


def _is_right(step: str, count: int) -> bool:
    numbers = _NUMBER.findall(step)
    sums = [int(a) + (int(b) if sign == "+" else -int(b)) == int(c) for a, sign, b, c in _EQUATION.findall(step)]
    # The step's own number is the first; a step without another states no count.
    return len(numbers) > 1 and int(numbers[-1]) == count and all(sums)


def _verdict(problem: Problem, response: str) -> Verdict:
    response = without_thinking(response)
    # The last mark counts: one behind which no number can be read takes an earlier answer back.
    mark = max((found.start() for found in _MARK.finditer(response)), default=len(response))
    found = _ANSWER.match(response, mark)
    if found is None:
        return Verdict(is_correct=False, reason="no_final_answer")
    stated = found[1] or found[2]
    is_correct = int(stated) == int(problem.answer)
    return Verdict(is_correct=is_correct, reason="right" if is_correct else "wrong", detail=f"answer {stated}")
