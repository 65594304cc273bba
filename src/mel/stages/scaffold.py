"""Scaffold: hints for a problem that no rollout solved, from the least that is said to the most."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mel.ports import Steps
from mel.types import Group

_WORD = re.compile(r"\w+")


def first_lines(text: str, levels: int) -> list[str]:
    """The first line that says something, the first two, and so on: as many hints as there are such lines, at most."""
    lines = [line for line in text.splitlines() if line.strip()][:levels]
    return ["\n".join(lines[: i + 1]).strip() for i in range(len(lines))]


def first_steps(solution: str, steps: Steps, levels: int) -> list[str]:
    """The first steps of a solution in `levels` + 1 equal parts, the last part left out; each ends before a step."""
    found = steps(solution)
    counts = {round(level * len(found) / (levels + 1)) for level in range(1, levels + 1)}
    return [solution[: found[n].start] for n in sorted(counts) if 0 < n < len(found)]


def nearest_solved(group: Group, groups: Sequence[Group]) -> Group | None:
    """The group of another problem with a right rollout whose problem shares the largest part of its words; None if
    no other was solved or none shares a word.
    """
    words = set(_WORD.findall(group.problem.text.casefold()))

    def likeness(other: Group) -> float:
        theirs = set(_WORD.findall(other.problem.text.casefold()))
        return len(words & theirs) / max(len(words | theirs), 1)

    others = [other for other in groups if other.problem.id != group.problem.id and other.pass_rate > 0]
    best = max(others, key=likeness, default=None)
    return best if best is not None and likeness(best) > 0 else None
