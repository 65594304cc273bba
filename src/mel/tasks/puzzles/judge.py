"""The judge of puzzles, for the pool of killable workers: reasoning-gym's own score, of which only 1 is right.

Scores are computed from what a model wrote, some of them by evaluating it (sympy's parser in `countdown`, for example):
that happens in a worker with limits of time and memory, never in the process that trains.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import NamedTuple

from mel.tasks.puzzles.beside_score import holds_beside_score
from mel.tasks.puzzles.entry import Entry, Source
from mel.tasks.puzzles.sources import OWN, source
from mel.verify import Limits, WorkerPool
from mel.verify.worker import JudgeName, Judgment

PUZZLES = JudgeName(module="mel.tasks.puzzles.judge", preload="mel.tasks.puzzles.preload", extra="puzzles")

Config = tuple[tuple[str, object], ...]
"""(key, value) of a configuration, sorted, with lists as tuples: it can be a key of a cache."""


class Job(NamedTuple):
    """One answer to one puzzle, which travels with it: making it anew would take the judge's time."""

    dataset: str
    config: Config
    entry: Entry
    answer: str


@cache
def pool(limits: Limits) -> WorkerPool:
    """The pool with these limits, one for all puzzles of this process."""
    return WorkerPool(limits, judge=PUZZLES)


def prepare() -> None:
    """Load reasoning-gym before any clock runs."""
    import reasoning_gym as _  # noqa: F401  # pyright: ignore[reportMissingImports]


def judge(job: Job) -> Judgment:
    """Whether the answer scores 1 and is right besides; what is raised over an answer makes it wrong."""
    # Scoring looks at the entry alone, and some data sets make all of their items at the start.
    at = made(job.dataset, job.config, 0, 1)
    try:
        is_correct = at.score(job.answer, job.entry) == 1.0 and holds_beside_score(job.dataset, job.answer, job.entry)
    except MemoryError:
        raise
    except Exception as error:
        return Judgment(False, "unreadable_answer", f"{type(error).__name__}: {str(error)[:200]}")
    return Judgment(is_correct, "right" if is_correct else "wrong", f"answer {job.answer[:200]}")


@lru_cache(maxsize=32)
def made(dataset: str, config: Config, seed: int, size: int) -> Source:
    """The data set of that configuration and seed."""
    return source(dataset, dict(config), seed=seed, size=size)


@lru_cache(maxsize=8192)
def entry_of(at: Source, index: int) -> Entry:
    """The item of that index."""
    return at.entry(index)


def is_judged_here(dataset: str) -> bool:
    """Whether answers are compared as text only, so that no worker is needed."""
    return dataset == OWN
