"""The judge of puzzles, for the pool of killable workers: reasoning-gym's own score, of which only 1 is right.

Scores are computed from what a model wrote, some of them by evaluating it (sympy's parser in `countdown`, for example):
that happens in a worker with limits of time and memory, never in the process that trains.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from mel.tasks.puzzles.entry import Entry, Source
from mel.tasks.puzzles.sources import OWN, source
from mel.verify.worker import JudgeName, Judgment

PUZZLES = JudgeName(module="mel.tasks.puzzles.judge", preload="mel.tasks.puzzles.preload", extra="puzzles")


class Job(NamedTuple):
    """One answer to one item of a data set; hashable, so that sources and entries are made once a worker.

    Args:
        config: (key, value) of the configuration, sorted; lists as tuples.
    """

    dataset: str
    config: tuple[tuple[str, object], ...]
    seed: int
    size: int
    index: int
    answer: str


def prepare() -> None:
    """Load reasoning-gym before any clock runs."""
    import reasoning_gym as _  # noqa: F401  # pyright: ignore[reportMissingImports]


def judge(job: Job) -> Judgment:
    """Whether the answer scores 1; what a data set raises over an answer makes it wrong."""
    at = made(job.dataset, job.config, job.seed, job.size)
    try:
        score = at.score(job.answer, entry_of(at, job.index))
    except MemoryError:
        raise
    except Exception as error:
        return Judgment(False, "unreadable_answer", f"{type(error).__name__}: {str(error)[:200]}")
    is_correct = score == 1.0
    return Judgment(is_correct, "right" if is_correct else "wrong", f"answer {job.answer[:200]}")


@lru_cache(maxsize=32)
def made(dataset: str, config: tuple[tuple[str, object], ...], seed: int, size: int) -> Source:
    """The data set of a job."""
    return source(dataset, dict(config), seed=seed, size=size)


@lru_cache(maxsize=8192)
def entry_of(at: Source, index: int) -> Entry:
    """The item of that index."""
    return at.entry(index)


def is_judged_here(dataset: str) -> bool:
    """Whether answers are compared as text only, so that no worker is needed."""
    return dataset == OWN
