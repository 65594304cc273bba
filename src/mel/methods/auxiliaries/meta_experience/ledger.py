"""Sums over the candidates of a generation batch, addable over groups and ranks; the settings' `rates` divide them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from mel.ports import Conceptual, Inspectable
from mel.types import Candidate, Replayed, Truth


def tally(replayed: Iterable[Replayed]) -> Counter[str]:
    """Every candidate counted by what became of it, and where the task knows by whether it tells the truth."""
    counts: Counter[str] = Counter()
    for item in replayed:
        candidate = item.candidate
        counts["candidates"] += 1
        counts["parsed"] += candidate.experience is not None
        counts["leaks"] += candidate.states_answer
        counts["replayed"] += bool(item.attempts)
        counts["attempts"] += len(item.attempts)
        counts["attempts_right"] += sum(a.verdict.is_correct for a in item.attempts)
        counts["kept"] += item.is_kept
        if not item.is_kept:
            counts[f"failure/{item.reason}"] += 1
        counts.update(_agreement(item))
    return counts


def truth_of(candidate: Candidate, inspector: Inspectable | None) -> Truth:
    """What the task knows about a candidate: asked once, here, and carried on with it."""
    if inspector is None:
        return Truth()
    pair, experience = candidate.pair, candidate.experience
    first_error = inspector.first_error(pair.problem, pair.wrong.text)
    concept = None
    if first_error is not None and isinstance(inspector, Conceptual):
        concept = inspector.concept(pair.problem, first_error)
    return Truth(
        first_error=first_error,
        is_true_rule=inspector.is_true_rule(pair.problem, experience.heuristic) if experience else None,
        concept=concept,
    )


def _agreement(item: Replayed) -> Counter[str]:
    """Does s* name the true first error, and is H true? Nothing is counted where the task cannot say."""
    counts: Counter[str] = Counter()
    experience, truth = item.candidate.experience, item.truth
    if experience is None:
        return counts
    is_located = truth.locates(experience.bifurcation)
    if is_located is not None:
        counts.update(locatable=1, located=int(is_located))
        counts.update(kept_locatable=int(item.is_kept), kept_located=int(item.is_kept and is_located))
    if truth.is_true_rule is not None:
        counts.update(rules=1, rules_true=int(truth.is_true_rule))
        counts.update(kept_rules=int(item.is_kept), kept_rules_true=int(item.is_kept and truth.is_true_rule))
    return counts
