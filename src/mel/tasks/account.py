"""Which records of a data set become problems, and the account of those that do not."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from mel.types import Problem

_ANOTHER_SPLIT = ("held_out", "in_train")


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """The problems of a split with the account of what was left out.

    Args:
        records: at the source.
        unique: different questions among the records that have a question and an answer (white space does not count).
        conflicts: questions with more than one gold.
        dropped: records by reason: `no_question`, `no_answer`, `duplicate`, `conflicting_gold`, `language`;
            `records - sum(dropped)` problems are left.
        first: the first record that was dropped for that reason, counted from 1.
    """

    problems: tuple[Problem, ...]
    records: int
    unique: int
    conflicts: int
    dropped: Mapping[str, int]
    first: Mapping[str, int] = field(default_factory=dict)


@runtime_checkable
class Accounting(Protocol):
    """A task that can say which records it left out."""

    def loaded(self, split: str) -> Loaded:
        """The problems of a split with that account."""
        ...


Read = Problem | str
"""What became of a record: its problem, or why there is none."""


def take(read: Sequence[Read], *, is_deduplicated: bool, refuses: Callable[[Problem], str]) -> Loaded:
    """The problems that are kept, in order, with the account of all others.

    Args:
        read: one for each record of the source.
        is_deduplicated: repeated questions once, questions with more than one gold not at all.
        refuses: why a task does not want a problem; empty if it does.
    """
    golds: dict[str, set[str]] = {}
    for problem in read:
        if isinstance(problem, Problem):
            golds.setdefault(key(problem.text), set()).add(problem.answer)
    kept: list[Problem] = []
    seen: set[str] = set()
    dropped: Counter[str] = Counter()
    first: dict[str, int] = {}
    for number, found in enumerate(read, 1):
        reason = found if isinstance(found, str) else _repeats(found, golds, seen) if is_deduplicated else ""
        if isinstance(found, Problem):
            seen.add(key(found.text))
            reason = reason or refuses(found)
            if not reason:
                kept.append(found)
                continue
        dropped[reason] += 1
        first.setdefault(reason, number)
    return Loaded(
        problems=_with_unique_ids(kept),
        records=len(read),
        unique=len(golds),
        conflicts=sum(len(answers) > 1 for answers in golds.values()),
        dropped=dict(dropped),
        first=first,
    )


def left_out(task: object, split: str) -> dict[str, int]:
    """Records of a split by the reason for which they are no problems; those of the other side of a holdout aside."""
    if not isinstance(task, Accounting):
        return {}
    return {reason: n for reason, n in task.loaded(split).dropped.items() if reason not in _ANOTHER_SPLIT}


def hold_out(whole: Loaded, count: int, *, keep_held: bool) -> Loaded:
    """One side of the split: the `count` problems whose text hashes lowest, or all others.

    Raises:
        ValueError: nothing would be left.
    """
    if count >= len(whole.problems):
        raise ValueError(f"holdout: expected fewer than the {len(whole.problems)} problems there are, got {count}")
    ranked = sorted(whole.problems, key=lambda p: digest(p.text))
    held = {problem.id for problem in ranked[:count]}
    problems = tuple(p for p in whole.problems if (p.id in held) == keep_held)
    reason = "in_train" if keep_held else "held_out"
    return replace(whole, problems=problems, dropped={**whole.dropped, reason: len(whole.problems) - len(problems)})


def key(text: str) -> str:
    """What makes two questions the same: their text up to white space."""
    return " ".join(text.split())


def digest(text: str) -> str:
    """SHA-256 of a question up to white space."""
    return hashlib.sha256(key(text).encode("utf-8", "surrogatepass")).hexdigest()


def _repeats(problem: Problem, golds: Mapping[str, set[str]], seen: set[str]) -> str:
    if key(problem.text) in seen:
        return "duplicate"
    return "conflicting_gold" if len(golds[key(problem.text)]) > 1 else ""


def _with_unique_ids(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """The problems, with a counter behind an id that the source repeats."""
    given = {problem.id for problem in problems}
    seen: Counter[str] = Counter()
    found: list[Problem] = []
    for problem in problems:
        again = seen[problem.id] + 1
        name = problem.id if again == 1 else f"{problem.id}-{again}"
        while again > 1 and name in given:
            again += 1
            name = f"{problem.id}-{again}"
        seen[problem.id] = again
        found.append(replace(problem, id=name))
    return tuple(found)
