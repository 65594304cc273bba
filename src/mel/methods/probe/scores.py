"""What a probe found, problem by problem, and how sure one can be of a mean or of a difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mel.evaluate.scores import Interval, bootstrap_macro_mean, macro_paired_difference

Scores = Mapping[str, Mapping[str, float]]
"""Name of a figure -> id of a problem -> its value there, 0 to 1; a problem without one is left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A mean over problems, or a mean difference, with its 95 % bootstrap interval over them."""

    value: float
    low: float
    high: float
    problems: int


def intervals(scores: Scores) -> dict[str, Score | None]:
    """Every figure with its interval; None where there was nothing to measure."""
    return {
        name: _of(bootstrap_macro_mean([list(values.values())]), len(values)) if values else None
        for name, values in scores.items()
    }


def effects(scores: Scores) -> dict[str, Score | None]:
    """Differences of replays that differ in the note alone, over the problems that have both; None without any."""
    found: dict[str, Score | None] = {}
    for start in ("start", "bifurcation"):
        for note, against in (("own", "none"), ("own", "other"), ("true", "none"), ("true", "false")):
            left, right = (scores.get(f"replay_{start}_{name}", {}) for name in (note, against))
            shared = [problem for problem in left if problem in right]
            found[f"{note}_minus_{against}_{start}"] = (
                _of(
                    macro_paired_difference([([{p: left[p] for p in shared}], [{p: right[p] for p in shared}])]),
                    len(shared),
                )
                if shared
                else None
            )
    return found


def _of(interval: Interval, problems: int) -> Score:
    return Score(value=interval.value, low=interval.low, high=interval.high, problems=problems)
