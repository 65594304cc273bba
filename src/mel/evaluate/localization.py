"""Does the policy see where a wrong solution went wrong, and is what it concludes true?

Only a task that is `Inspectable` knows the truth; the miniature is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mel.ports import Inspectable
from mel.types import Replayed


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """What the task knows about each candidate, in order: what `ExperienceStore.write_step` takes.

    Args:
        first_error: the first wrong step of the wrong solution, 1-based; None if it cannot be said.
        rule_truth: whether the heuristic is true; None without a heuristic, or if it cannot be checked.
    """

    first_error: tuple[int | None, ...]
    rule_truth: tuple[bool | None, ...]


def inspect(replayed: Sequence[Replayed], task: object) -> Truth:
    """The true first error and rule truth of each candidate; all None if the task cannot tell."""
    if not isinstance(task, Inspectable):
        return Truth(first_error=(None,) * len(replayed), rule_truth=(None,) * len(replayed))
    errors, truths = [], []
    for item in replayed:
        pair, experience = item.candidate.pair, item.candidate.experience
        errors.append(task.first_error(pair.problem, pair.wrong.text))
        truths.append(task.is_true_rule(pair.problem, experience.heuristic) if experience else None)
    return Truth(first_error=tuple(errors), rule_truth=tuple(truths))
