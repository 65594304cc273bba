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


@dataclass(frozen=True, kw_only=True, slots=True)
class Localization:
    """Rates over the candidates of a step, or of a run; each 0 to 1, None where nothing could be counted.

    Args:
        localization: s* is the true first error, of the parsed candidates where that is known.
        chance: the same for an s* drawn uniformly from the steps of each wrong solution.
        rule_truth: the heuristic is true, of the parsed candidates where that can be checked.
        kept_localization, kept_rule_truth: the same two over kept candidates only.
        retention: kept, of the candidates that were replayed (the filter itself, not the parser or the guard).
        leak_rate: M states the final answer, of the parsed candidates.
    """

    localization: float | None
    chance: float | None
    rule_truth: float | None
    kept_localization: float | None
    kept_rule_truth: float | None
    retention: float | None
    leak_rate: float | None


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


def localization(replayed: Sequence[Replayed], truth: Truth) -> Localization:
    """How well errors were located and rules stated, among these candidates."""
    rows = list(zip(replayed, truth.first_error, truth.rule_truth, strict=True))
    parsed = [(r, error, is_true) for r, error, is_true in rows if r.candidate.experience is not None]
    located = [(r, _star(r) == error) for r, error, _ in parsed if error is not None]
    ruled = [(r, is_true) for r, _, is_true in parsed if is_true is not None]
    return Localization(
        localization=_share([hit for _, hit in located]),
        chance=_share([1.0 / len(r.candidate.pair.wrong_steps) for r, _ in located]),
        rule_truth=_share([hit for _, hit in ruled]),
        kept_localization=_share([hit for r, hit in located if r.is_kept]),
        kept_rule_truth=_share([hit for r, hit in ruled if r.is_kept]),
        retention=_share([r.is_kept for r in replayed if r.attempts]),
        leak_rate=_share([r.candidate.states_answer for r, _, _ in parsed]),
    )


def _star(replayed: Replayed) -> int | None:
    experience = replayed.candidate.experience
    return experience.bifurcation if experience else None


def _share(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
