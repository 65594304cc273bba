"""Which concepts a policy has right: shares of right steps, for tasks that know what each step turns on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count

from mel.ports import Conceptual
from mel.types import Group, Problem, Rollout

CONCEPT = "concept/"
"""Prefix of the shares among the metrics."""


class ConceptCounts:
    """Right and wrong steps by concept, since they were last asked for.

    Only steps whose predecessors are all right are counted: what comes after an error says little about a concept.
    """

    def __init__(self, task: Conceptual) -> None:
        self._task = task
        self._right: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()

    def add(self, groups: Sequence[Group]) -> None:
        """Count the rollouts of a generation batch."""
        for group in groups:
            for rollout in group.rollouts:
                for concept, is_right in self._steps(group.problem, rollout):
                    self._seen[concept] += 1
                    self._right[concept] += is_right

    def take(self) -> dict[str, float]:
        """Metric path -> share of right steps, 0 to 1, of every concept that was met; the counts begin anew."""
        shares = {f"{CONCEPT}{name}": self._right[name] / seen for name, seen in sorted(self._seen.items())}
        self._right.clear()
        self._seen.clear()
        return shares

    def _steps(self, problem: Problem, rollout: Rollout) -> Iterator[tuple[str, bool]]:
        wrong = self._task.first_error(problem, rollout.text)
        if wrong is None and not rollout.verdict.is_correct:
            return  # no step can be read, or none is wrong but the answer
        for number in count(1):
            concept = self._task.concept(problem, number)
            if concept is None:
                return
            yield concept, number != wrong
            if number == wrong:
                return
