"""The task: puzzles of one data set, an answer that scores 1, and the first wrong step where it can be known."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mel.tasks.drawn import refuse_unknown, split_of
from mel.tasks.puzzles.entry import Entry
from mel.tasks.puzzles.forms import FORMS
from mel.tasks.puzzles.judge import Config, Job, entry_of, is_judged_here, judge, made, pool
from mel.types import Problem, Step, Verdict
from mel.verify import Limits
from mel.verify.answers import without_thinking
from mel.verify.worker import Judgment

SHARES = {"train": range(4), "validation": range(4, 6), "test": range(6, 8)}
"""Split -> the classes, of eight, that the checksum of a question may fall in: no question is in two splits."""

BLOCK = 2**20
"""Seeds of a split: those of other splits and of other seeds of the task are others."""

MOST_SEEDS = 1000

FEWEST_ITEMS = 64
"""Items that a split of any size is drawn from."""

_STEP = re.compile(r"^[ \t]*Step[ \t]+(\d+)[ \t]*:[ \t]*([^\n]*)", re.MULTILINE | re.IGNORECASE)
_ANSWER = re.compile(r"^[ \t*]*(?:final )?answer[ \t*]*:[ \t*]*", re.MULTILINE | re.IGNORECASE)
_BEFORE = "Whatever is said above about the form of the answer, write the steps first."


class Puzzles:
    """The task.

    Args:
        dataset: of reasoning-gym, or `modus_ponens`.
        config: of the data set, by its own keys.
        seed: of the problems; 0 to 1000.
        train_size, test_size: how many problems a split has. No more can be asked for, since some data sets make all of
            their items at the start.
        timeout_s, memory_mb, workers: limits of what scores the answers, the first in seconds of processor time; some
            data sets take seconds to load.

    Raises:
        ValueError: an unknown data set or key of its configuration, or a value out of range.
    """

    name: str = "puzzles"
    prompt_set: str = "puzzles"

    def __init__(
        self,
        *,
        dataset: str,
        config: dict[str, Any] | None = None,
        seed: int = 0,
        train_size: int = 4096,
        test_size: int = 256,
        timeout_s: float = 20.0,
        memory_mb: int = 2048,
        workers: int | None = None,
    ) -> None:
        if not 0 <= seed <= MOST_SEEDS:
            raise ValueError(f"task puzzles: seed must be 0 to {MOST_SEEDS}; got {seed}")
        for name, size in (("train_size", train_size), ("test_size", test_size)):
            if not 1 <= size <= BLOCK // 16:
                raise ValueError(f"task puzzles: {name} must be 1 to {BLOCK // 16}; got {size}")
        self.dataset, self.seed = dataset, seed
        self._config = _frozen(config or {})
        self._sizes = {"train": train_size, "validation": test_size, "test": test_size}
        self._limits = Limits(cpu_s=timeout_s, memory_mb=memory_mb, workers=workers)
        self._found: dict[str, list[int]] = {split: [] for split in SHARES}
        self._looked_at = dict.fromkeys(SHARES, 0)
        made(dataset, self._config, *self._seed_and_size("train"))

    def problems(self, split: str, count: int | None = None) -> list[Problem]:
        """The first ``count`` problems; splits are ``train``, ``validation`` and ``test``, and share no question.

        Raises:
            ValueError: an unknown split, more problems than it has, or a data set with too few different questions.
        """
        refuse_unknown(split, SHARES, task="task puzzles")
        wanted = self._sizes[split] if count is None else count
        if wanted > self._sizes[split]:
            raise ValueError(
                f"task puzzles: {split} has {self._sizes[split]} problems, {wanted} were asked for: "
                f"set task.options.{'train' if split == 'train' else 'test'}_size"
            )
        self._find(split, wanted)
        return [self._problem(split, i) for i in range(wanted)]

    def _find(self, split: str, wanted: int) -> None:
        """Go on through the items until so many belong to the split; which ones does not depend on ``wanted``."""
        found, most = self._found[split], self._seed_and_size(split)[1]
        while len(found) < wanted:
            index = self._looked_at[split]
            if index == most:
                raise ValueError(
                    f"task puzzles: only {len(found)} of {most} items of {self.dataset} belong to {split}: "
                    "its config leaves too few different questions"
                )
            if split_of(self._entry(split, index).question, SHARES) == split:
                found.append(index)
            self._looked_at[split] += 1

    def _problem(self, split: str, i: int) -> Problem:
        index = self._found[split][i]
        entry = self._entry(split, index)
        form = FORMS.get(self.dataset)
        text = f"{entry.question.strip()}\n\n{form.says} {_BEFORE}" if form else entry.question.strip()
        return Problem(
            id=f"{self.dataset}-s{self.seed}-{split}-{i}",
            text=text,
            answer=entry.answer,
            metadata={"split": split, "index": index},
        )

    def _seed_and_size(self, split: str) -> tuple[int, int]:
        start = (self.seed * len(SHARES) + list(SHARES).index(split)) * BLOCK
        # Twice as many items as are expected to hold enough of the split; of a few, chance alone would leave too few.
        return start, max(FEWEST_ITEMS, self._sizes[split] * 2 * 8 // len(SHARES[split]))

    def _entry(self, split: str, index: int) -> Entry:
        return entry_of(made(self.dataset, self._config, *self._seed_and_size(split)), index)

    def _entry_of(self, problem: Problem) -> Entry:
        split, index = problem.metadata.get("split"), problem.metadata.get("index")
        if not isinstance(split, str) or not isinstance(index, int):
            raise ValueError(f"task puzzles: expected a problem of this task, with split and index; got {problem.id!r}")
        return self._entry(split, index)

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        """Right iff the data set gives the answer its full score, and it is what `beside_score` asks for besides; what
        scores a part of it is wrong."""
        jobs = [self._job(p, r) for p, r in zip(problems, responses, strict=True)]
        asked = [job for job in jobs if job is not None]
        judged = iter(
            [judge(job) for job in asked] if is_judged_here(self.dataset) else pool(self._limits).judge(asked)
        )
        nothing = Judgment(False, "no_final_answer")
        judgments = [nothing if job is None else next(judged) for job in jobs]
        return [Verdict(is_correct=j.is_correct, reason=j.reason, detail=j.detail) for j in judgments]

    def reference(self, problem: Problem) -> str | None:
        """A response with the data set's own answer, as steps where these are the answer; None if it has none."""
        form = FORMS.get(self.dataset)
        if not problem.answer.strip():
            return None
        if form is not None and form.is_answer:
            steps = [f"Step {number}: {line}" for number, line in enumerate(problem.answer.splitlines(), 1)]
            return "\n".join([*steps, "Answer: as above"])
        return f"Answer: {problem.answer}"

    def _job(self, problem: Problem, response: str) -> Job | None:
        answer = self._answer(response)
        return None if answer is None else Job(self.dataset, self._config, self._entry_of(problem), answer)

    def _answer(self, response: str) -> str | None:
        """What stands behind the last `Answer:`, or the steps where they are the answer; None if there is none.

        What stands in a thinking block is no answer, as for every verifier.
        """
        response = without_thinking(response)
        stated = list(_ANSWER.finditer(response))
        if not stated:
            return None
        form = FORMS.get(self.dataset)
        if form is not None and form.is_answer:
            return "\n".join(self._bodies(response)) or None
        return response[stated[-1].end() :].strip() or None

    def steps(self, solution: str) -> tuple[Step, ...]:
        """The lines `Step k: ...`; none if they are not numbered from 1 in order."""
        matches = list(_STEP.finditer(solution))
        if [int(m[1]) for m in matches] != list(range(1, len(matches) + 1)):
            return ()
        return tuple(Step(number=i, start=m.start(), end=m.end()) for i, m in enumerate(matches, 1))

    def _bodies(self, solution: str) -> list[str]:
        """What the steps hold."""
        return [_STEP.match(solution[s.start : s.end])[2].strip() for s in self.steps(solution)]  # pyright: ignore

    def first_error(self, problem: Problem, response: str) -> int | None:
        """Number of the first wrong step; None if there is none, if none can be read, or if nobody knows."""
        form = FORMS.get(self.dataset)
        bodies = self._bodies(response)
        return form.first_wrong(self._entry_of(problem), bodies) if form is not None and bodies else None

    def is_true_rule(self, problem: Problem, heuristic: str) -> bool | None:
        """None: heuristics about puzzles are prose."""
        return None


def _frozen(config: Mapping[str, Any]) -> Config:
    """The configuration as a value that can be a key of a cache."""
    return tuple(sorted((key, tuple(v) if isinstance(v, list) else v) for key, v in config.items()))
