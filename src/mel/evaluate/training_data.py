"""Check of a training set: what is in it, how long it is, and which benchmark problems it contains."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mel.evaluate.golds import Golds, StatesAnswers, examine_golds
from mel.evaluate.references import HasReferences, References, examine_references
from mel.ports import Ask, Task, Tokenizer
from mel.tasks.account import Accounting, Loaded, key
from mel.types import Problem

GRAM = 13
SHARE = 0.5
_WORD = re.compile(r"[a-z0-9]+")

Gram = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lengths:
    """Lengths of the training prompts in tokens, chat template and instruction included.

    Args:
        histogram: upper bound of a bin (a power of two) -> prompts longer than the bin below and not longer than it.
        too_long: prompts beyond `limit`; None without a limit.
    """

    histogram: Mapping[int, int]
    mean: float
    median: int
    p95: int
    longest: int
    limit: int | None = None
    too_long: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """Benchmark problems that the training set contains.

    Args:
        ids: the contained problems, for scores without them (`evaluate.result.summarize(contained=...)`).
        pairs: contained problem and the training problem that contains it, for a person to read.
        too_short: problems with fewer than 13 words, for which nothing can be said.
    """

    benchmark: str
    problems: int
    ids: frozenset[str]
    pairs: tuple[tuple[str, str], ...]
    too_short: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Benchmark:
    """What a model will be evaluated on.

    Args:
        task: judges its responses.
        left_out: its records that are no problems, by reason.
    """

    problems: Sequence[Problem]
    task: object = None
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingData:
    """What `mel data check` shows.

    Args:
        records, unique, conflicts, dropped: see `mel.tasks.account.Loaded`; a task without that account drops
            nothing.
        problems: left to train on.
        first: the first record that was dropped for that reason, counted from 1.
        left_out: benchmark -> its records that are no problems, by reason.
        golds: of the training set and of every benchmark, by name; without those whose verifier compares no golds.
        references: the same for the solutions that problems come with, where a verifier can judge them.
    """

    task: str
    split: str
    records: int
    unique: int
    conflicts: int
    dropped: Mapping[str, int]
    first: Mapping[str, int]
    problems: int
    left_out: Mapping[str, Mapping[str, int]]
    lengths: Lengths | None
    golds: Mapping[str, Golds]
    overlaps: tuple[Overlap, ...]
    references: Mapping[str, References] = field(default_factory=dict)


def examine_training_data(
    task: Task,
    benchmarks: Mapping[str, Benchmark],
    *,
    split: str = "train",
    count: int | None = None,
    tokenizer: Tokenizer | None = None,
    ask: Ask | None = None,
    max_prompt_tokens: int | None = None,
) -> TrainingData:
    """Records, drops, prompt lengths and overlap of one training split.

    Args:
        benchmarks: by name; the training set is searched for their problems, and their golds are looked at too.
        count: the recipe trains on the first so many problems only; None for all.
        tokenizer, ask: for the lengths; without both there are none.
        max_prompt_tokens: counts the prompts beyond it.
    """
    problems = task.problems(split, count)
    sets = {task.name: Benchmark(problems=problems, task=task), **benchmarks}
    account = _account(task, split, problems)
    lengths = None
    if tokenizer is not None and ask is not None:
        lengths = prompt_lengths(problems, tokenizer, ask, limit=max_prompt_tokens)
    return TrainingData(
        task=task.name,
        split=split,
        records=account.records,
        unique=account.unique,
        conflicts=account.conflicts,
        dropped=account.dropped,
        first=account.first,
        problems=len(problems),
        lengths=lengths,
        left_out={name: found.left_out for name, found in benchmarks.items() if found.left_out},
        golds=_golds(sets),
        overlaps=tuple(overlap(problems, found.problems, name=name) for name, found in benchmarks.items()),
        references=_references(sets),
    )


def prompt_lengths(problems: Sequence[Problem], tokenizer: Tokenizer, ask: Ask, *, limit: int | None = None) -> Lengths:
    """Token counts of the solve prompts.

    Raises:
        ValueError: no problems.
    """
    if not problems:
        raise ValueError("expected at least one problem to measure, got none")
    found = sorted(len(tokenizer.chat(ask(p))) for p in problems)
    bins = Counter(1 << max(0, length - 1).bit_length() for length in found)
    return Lengths(
        histogram=dict(sorted(bins.items())),
        mean=sum(found) / len(found),
        median=found[len(found) // 2],
        p95=found[min(len(found) - 1, len(found) * 95 // 100)],
        longest=found[-1],
        limit=limit,
        too_long=sum(length > limit for length in found) if limit is not None else None,
    )


def overlap(training: Sequence[Problem], benchmark: Sequence[Problem], *, name: str = "benchmark") -> Overlap:
    """Benchmark problems of whose 13-grams at least half stand in one training problem.

    Words are runs of ASCII letters and digits in lower case, so that LaTeX spelling and Chinese text do not count.
    One training problem must hold the half by itself: the union over a large set would flag common phrases.
    """
    wanted = {problem.id: grams(problem.text) for problem in benchmark}
    holders: dict[Gram, list[str]] = defaultdict(list)
    for identity, found in wanted.items():
        for gram in found:
            holders[gram].append(identity)
    pairs: list[tuple[str, str]] = []
    for problem in training:
        hits = Counter(identity for gram in grams(problem.text) for identity in holders.get(gram, ()))
        pairs += [(identity, problem.id) for identity, hit in hits.items() if hit >= SHARE * len(wanted[identity])]
    return Overlap(
        benchmark=name,
        problems=len(benchmark),
        ids=frozenset(identity for identity, _ in pairs),
        pairs=tuple(sorted(pairs)),
        too_short=sum(not found for found in wanted.values()),
    )


def overlapping_ids(training: Sequence[Problem], benchmark: Sequence[Problem]) -> frozenset[str]:
    """Ids of the benchmark problems that the training set contains."""
    return overlap(training, benchmark).ids


def grams(text: str) -> frozenset[Gram]:
    """The different 13-grams of a text; none for a text of fewer than 13 words."""
    words = _WORD.findall(text.lower())
    return frozenset(tuple(words[at : at + GRAM]) for at in range(len(words) - GRAM + 1))


def _golds(sets: Mapping[str, Benchmark]) -> dict[str, Golds]:
    return {
        name: examine_golds(one.problems, one.task) for name, one in sets.items() if isinstance(one.task, StatesAnswers)
    }


def _references(sets: Mapping[str, Benchmark]) -> dict[str, References]:
    return {
        name: examine_references(one.problems, one.task)
        for name, one in sets.items()
        if isinstance(one.task, HasReferences)
    }


def _account(task: Task, split: str, problems: Sequence[Problem]) -> Loaded:
    if isinstance(task, Accounting):
        return task.loaded(split)
    return Loaded(
        problems=tuple(problems),
        records=len(problems),
        unique=len({key(problem.text) for problem in problems}),
        conflicts=0,
        dropped={},
    )
