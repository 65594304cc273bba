"""Localization: s* against the true first wrong step, beside two baselines on the same wrong solutions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from mel.methods.diagnostics.cases import Located
from mel.ports import Inspectable

_TRUE = "localization/true/"
"""Prefix of the counts of wrong solutions whose true first wrong step has that number."""


def localization_counts(cases: Sequence[Located], inspector: Inspectable) -> Counter[str]:
    """Sums over the wrong solutions whose first wrong step the task knows.

    The random baseline is counted by its expectation over all steps of the solution, so that nothing is drawn.
    """
    counts: Counter[str] = Counter()
    for case in cases:
        true = inspector.first_error(case.pair.problem, case.pair.wrong.text)
        if true is None:
            continue
        steps = range(1, len(case.pair.wrong_steps) + 1)
        counts["localization/pairs"] += 1
        counts[f"{_TRUE}{true}"] += 1
        counts.update(_sums("localization/", [case.step], true))
        counts.update(_sums("localization/random_", steps, true))
    return counts


def _sums(prefix: str, guesses: Sequence[int], true: int) -> dict[str, float]:
    """What a guess is worth on average over those guesses."""
    n = len(guesses)
    return {
        f"{prefix}exact": sum(guess == true for guess in guesses) / n,
        f"{prefix}off_by_one": sum(abs(guess - true) == 1 for guess in guesses) / n,
        f"{prefix}offset": sum(guess - true for guess in guesses) / n,
    }


def localization_metrics(counts: Mapping[str, float]) -> dict[str, float]:
    """Shares and the mean signed offset, of s*, of the best constant step, and of a random one.

    The constant is the step number that is right most often in these very solutions, of several the smallest: no
    constant does better on them.
    """
    pairs = counts.get("localization/pairs", 0.0)
    if not pairs:
        return {}
    true = {int(k.removeprefix(_TRUE)): n for k, n in counts.items() if k.startswith(_TRUE)}
    constant = max(sorted(true), key=lambda number: true[number])
    found: dict[str, float] = {"localization/pairs": pairs}
    for who in ("", "random_"):
        found |= {key: counts[key] / pairs for key in _sums(f"localization/{who}", [1], 1)}
    for number, n in true.items():
        for key, value in _sums("localization/constant_", [constant], number).items():
            found[key] = found.get(key, 0.0) + value * n / pairs
    return found
