"""Whether the solutions that come with problems are right by the task's own verifier: what is not cannot be learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Protocol, runtime_checkable

from mel.ports import Verifier
from mel.types import Problem

MOST = 200
"""Solutions that are judged, evenly spaced: programs take a tenth of a second each, and on busy cores a second."""


@runtime_checkable
class HasReferences(Verifier, Protocol):
    """A task whose problems come with whole solutions, and not only with answers to compare."""

    def reference(self, problem: Problem) -> str | None:
        """A response that gives the problem's own solution; None if it came without one."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class References:
    """What came of judging the problems' own solutions.

    Args:
        without: problems that came without one.
        judged: solutions that were judged, of all others.
        failed: problem, the verifier's word and what it said, where the solution is not right.
    """

    problems: int
    without: int
    judged: int
    failed: tuple[tuple[str, str, str], ...] = ()


def examine_references(problems: Sequence[Problem], task: HasReferences, *, most: int = MOST) -> References:
    """The problems whose own solution the task's verifier does not accept, of `most` problems at most."""
    given = [(problem, text) for problem in problems if (text := task.reference(problem)) is not None]
    chosen = given[:: max(1, ceil(len(given) / most))]
    verdicts = task.verify([problem for problem, _ in chosen], [text for _, text in chosen])
    return References(
        problems=len(problems),
        without=len(problems) - len(given),
        judged=len(chosen),
        failed=tuple(
            (problem.id, verdict.reason, verdict.detail)
            for (problem, _), verdict in zip(chosen, verdicts, strict=True)
            if not verdict.is_correct
        ),
    )
