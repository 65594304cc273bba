"""Sums over the candidates of a generation batch, addable over groups and ranks; `mel.methods.ratios` divides them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from mel.ports import Inspectable
from mel.types import Replayed


def tally(replayed: Iterable[Replayed], inspector: Inspectable | None = None) -> Counter[str]:
    """Every candidate counted by what became of it; with an inspector also by whether it tells the truth."""
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
        if inspector is not None:
            counts.update(_truth(item, inspector))
    return counts


def _truth(item: Replayed, inspector: Inspectable) -> Counter[str]:
    """Does s* name the true first error, and is H true? Nothing is counted where the task cannot say."""
    counts: Counter[str] = Counter()
    pair, experience = item.candidate.pair, item.candidate.experience
    if experience is None:
        return counts
    first_error = inspector.first_error(pair.problem, pair.wrong.text)
    if first_error is not None:
        is_located = first_error == experience.bifurcation
        counts.update(locatable=1, located=int(is_located))
        counts.update(kept_locatable=int(item.is_kept), kept_located=int(item.is_kept and is_located))
    is_true = inspector.is_true_rule(pair.problem, experience.heuristic)
    if is_true is not None:
        counts.update(rules=1, rules_true=int(is_true))
        counts.update(kept_rules=int(item.is_kept), kept_rules_true=int(item.is_kept and is_true))
    return counts
