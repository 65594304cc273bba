"""How well first wrong steps are named: exact hits, ProcessBench's F1, and the localizers that ask no model."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mel.evaluate.step_errors import NO_ERROR, LabelledSolution, pair_of
from mel.stages.localize import any_step, first_difference
from mel.stages.novel_value import novel_value

Named = Mapping[str, int | None]
"""Id of a solution -> the number of the step that was named, `NO_ERROR`, or None where there is no answer to read."""

EVERYTHING = "all"
"""The source that stands for all of them together."""

NEEDS_RIGHT = ("first_difference", "novel_value")
"""Free localizers that compare with a right solution."""

FREE = (*NEEDS_RIGHT, "random")
"""Localizers, by their names in recipes, that ask no model."""

BEST_CONSTANT = "best_constant"
"""The one step that is right most often on the very solutions that are scored: what knowing their labels gives."""

CONSTANT = ("first_step", "last_step", BEST_CONSTANT)


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalizationScores:
    """Scores of one localizer on one source; rates run from 0 to 1 and are None where nothing is left to rate.

    Every solution counts once, however many right ones it stands beside.

    Args:
        wrong, right: solutions with a wrong step, and without.
        exact, within_one: share of the wrong ones whose first wrong step was named, and missed by at most one.
        named: share of the wrong ones in which any step was named.
        offset: mean number of steps by which a named step lies behind the first wrong one.
        accepted: share of the right ones in which no step was named.
        f1: harmonic mean of `exact` and `accepted` (ProcessBench, arXiv 2412.06559, section 4).
    """

    localizer: str
    source: str
    wrong: float
    right: float
    exact: float | None
    within_one: float | None
    named: float | None
    offset: float | None
    accepted: float | None
    f1: float | None


def scores_of(localizer: str, source: str, solutions: Sequence[LabelledSolution], named: Named) -> LocalizationScores:
    """Scores of what was named in these solutions. A response that cannot be read misses, in right solutions too."""
    wrong, right = [s for s in solutions if s.is_wrong], [s for s in solutions if not s.is_wrong]
    hits = [s for s in wrong if named[s.id]]
    exact = _share(wrong, lambda s: named[s.id] == s.first_wrong)
    accepted = _share(right, lambda s: named[s.id] == NO_ERROR)
    return LocalizationScores(
        localizer=localizer,
        source=source,
        wrong=_weight(wrong),
        right=_weight(right),
        exact=exact,
        within_one=_share(wrong, lambda s: abs((named[s.id] or -1) - s.first_wrong) <= 1),
        named=_share(wrong, lambda s: bool(named[s.id])),
        offset=_share(hits, lambda s: (named[s.id] or 0) - s.first_wrong),
        accepted=accepted,
        f1=None if exact is None or accepted is None else f1(exact, accepted),
    )


def f1(exact: float, accepted: float) -> float:
    """Harmonic mean of the accuracy on wrong and on right solutions; 0 if either is 0."""
    return 2 * exact * accepted / (exact + accepted) if exact + accepted else 0.0


def by_source(localizer: str, solutions: Sequence[LabelledSolution], named: Named) -> list[LocalizationScores]:
    """Scores for each source, and for all of them together if there are several."""
    return [scores_of(localizer, source, some, named) for source, some in sources(solutions).items()]


def sources(solutions: Sequence[LabelledSolution]) -> dict[str, list[LabelledSolution]]:
    """The solutions of each source in the order of the data, then all if there are several sources."""
    found: dict[str, list[LabelledSolution]] = {}
    for one in solutions:
        found.setdefault(one.source, []).append(one)
    return found if len(found) == 1 else {**found, EVERYTHING: list(solutions)}


def free_scores(solutions: Sequence[LabelledSolution], *, names: Sequence[str], seed: int) -> list[LocalizationScores]:
    """Scores of these localizers, which ask no model, and of constant steps."""
    found = [row for name in names for row in by_source(name, solutions, free_steps(name, solutions, seed=seed))]
    for name in CONSTANT:
        for source, some in sources(solutions).items():
            found.append(scores_of(name, source, some, _constant_steps(name, some)))
    return found


def free_steps(name: str, solutions: Sequence[LabelledSolution], *, seed: int) -> dict[str, int | None]:
    """What a localizer names that asks no model; where it finds no step it says that there is no error."""
    if name == "random":
        return {s.id: any_step(pair_of(s), random.Random(f"{seed}:{s.id}")) or NO_ERROR for s in solutions}
    locate = novel_value if name == "novel_value" else first_difference
    return {s.id: locate(pair_of(s)) or NO_ERROR for s in solutions}


def _constant_steps(name: str, solutions: Sequence[LabelledSolution]) -> dict[str, int | None]:
    if name == "last_step":
        return {s.id: len(s.steps) for s in solutions}
    step = _most_frequent(solutions) if name == BEST_CONSTANT else 1
    return {s.id: step for s in solutions}


def _most_frequent(solutions: Sequence[LabelledSolution]) -> int:
    """The number that most first wrong steps have, the lowest of equals; 1 if none is wrong."""
    counts: dict[int, float] = {1: 0.0}
    for one in solutions:
        if one.is_wrong:
            counts[one.first_wrong] = counts.get(one.first_wrong, 0.0) + one.weight
    return max(counts, key=lambda step: (counts[step], -step))


def _share(solutions: Sequence[LabelledSolution], value: Callable[[LabelledSolution], float]) -> float | None:
    """Weighted mean of a value; None of no solutions."""
    return sum(s.weight * value(s) for s in solutions) / _weight(solutions) if solutions else None


def _weight(solutions: Sequence[LabelledSolution]) -> float:
    return math.fsum(s.weight for s in solutions)
