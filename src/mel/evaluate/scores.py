"""Scores of sampled responses: unbiased pass@k, Avg@k, and how sure one can be of a mean or a difference.

Everything is exact or deterministic by seed and uses nothing but the standard library.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import combinations_with_replacement, repeat

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """An estimate with the interval that holds the true value with the asked probability (0.95)."""

    value: float
    low: float
    high: float


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Probability that at least one of k responses, drawn without replacement from n, is right.

    The unbiased estimate 1 - C(n-c, k) / C(n, k) of Chen et al. (arXiv 2107.03374), computed in whole numbers
    and rounded once.

    Raises:
        ValueError: not 0 <= num_correct <= num_samples, or not 1 <= k <= num_samples.
    """
    if not 0 <= num_correct <= num_samples or not 1 <= k <= num_samples:
        raise ValueError(
            f"pass@k: expected 0 <= correct <= samples and 1 <= k <= samples; got samples {num_samples}, correct "
            f"{num_correct}, k {k}. Sample at least k responses per problem"
        )
    return float(1 - Fraction(math.comb(num_samples - num_correct, k), math.comb(num_samples, k)))


def average_at_k(num_samples: int, num_correct: int) -> float:
    """Share of right responses, 0 to 1: Avg@k of one problem with k samples.

    Raises:
        ValueError: no sample.
    """
    if num_samples < 1:
        raise ValueError("avg@k: expected at least one response per problem; got none")
    return num_correct / num_samples


def bootstrap_macro_mean(
    groups: Sequence[Sequence[float]], *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> Interval:
    """Mean of the groups' means (benchmarks weigh alike whatever their size), resampled within each group.

    Raises:
        ValueError: no group, or an empty one.
    """
    if not groups or not all(groups):
        raise ValueError("bootstrap: expected at least one problem in each of at least one benchmark; got none")
    rng = random.Random(seed)
    means = sorted(
        math.fsum(math.fsum(rng.choices(g, k=len(g))) / len(g) for g in groups) / len(groups)
        for _ in repeat(None, resamples)
    )
    return _percentiles(math.fsum(math.fsum(g) / len(g) for g in groups) / len(groups), means, level)


def exact_bootstrap_mean(values: Sequence[float], *, level: float = LEVEL) -> Interval:
    """Mean with the percentile interval over all draws of so many values with replacement, not over a sample of them.

    Of n values there are n^n draws, but only C(2n-1, n) different ones: 126 for five seeds, 92,378 for ten.

    Raises:
        ValueError: no value.
    """
    if not values:
        raise ValueError("bootstrap: expected at least one value; got none")
    sums = map(sum, combinations_with_replacement(values, len(values)))
    ordered = sorted(zip(sums, _shares_of_draws(len(values)), strict=True))
    tail = (1.0 - level) / 2.0
    low, high = _first_beyond(ordered, tail), _first_beyond(reversed(ordered), tail)
    return Interval(value=math.fsum(values) / len(values), low=low / len(values), high=high / len(values))


@cache
def _shares_of_draws(n: int) -> list[float]:
    """Which share of the n^n ordered draws each different draw of n values stands for."""
    draws = combinations_with_replacement(range(n), n)
    return [math.factorial(n) / math.prod(map(math.factorial, Counter(d).values())) / n**n for d in draws]


def _first_beyond(draws: Iterable[tuple[float, float]], share: float) -> float:
    """The first sum at which so much of the draws is behind."""
    behind = 0.0
    for total, weight in draws:
        behind += weight
        if behind >= share:
            return total
    raise ValueError(f"bootstrap: expected a level from 0 to 1, got one that leaves {share:g} at each end")


def macro_paired_difference(
    benchmarks: Sequence[tuple[Sequence[Mapping[str, float]], Sequence[Mapping[str, float]]]],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Interval:
    """Mean of `ours - baseline` over seeds and problems, then over benchmarks, which weigh alike whatever their size.

    The bootstrap draws seeds once for all benchmarks, then problems within each. Seeds and problems are crossed
    (every seed is evaluated on the same problems), so one draw of problems serves all drawn seeds: what a hard
    problem costs one seed it costs the others. With few seeds the interval is somewhat too narrow.

    Args:
        benchmarks: (ours, baseline) of each: one table per seed, the same seeds in the same order; a table maps
            a problem's id to its score.

    Raises:
        ValueError: no benchmark, another number of seeds, no seed, or other problems.
    """
    if not benchmarks:
        raise ValueError("paired difference: expected at least one benchmark; got none")
    differences = [_differences(ours, baseline) for ours, baseline in benchmarks]
    num_seeds = len(differences[0])
    if any(len(d) != num_seeds for d in differences):
        counts = ", ".join(str(len(d)) for d in differences)
        raise ValueError(f"paired difference: expected the same seeds on every benchmark; got {counts} runs")
    rng = random.Random(seed)
    means = []
    for _ in repeat(None, resamples):
        drawn = rng.choices(range(num_seeds), k=num_seeds)
        means.append(math.fsum(_drawn_mean(table, drawn, rng) for table in differences) / len(differences))
    value = math.fsum(math.fsum(map(math.fsum, d)) / (len(d) * len(d[0])) for d in differences) / len(differences)
    return _percentiles(value, sorted(means), level)


def _differences(ours: Sequence[Mapping[str, float]], baseline: Sequence[Mapping[str, float]]) -> list[list[float]]:
    """Per seed the difference of every problem, problems in one order."""
    if len(ours) != len(baseline) or not ours:
        raise ValueError(
            f"paired difference over seeds: expected the same seeds on both sides, at least one; got {len(ours)} and "
            f"{len(baseline)} runs"
        )
    _check_same("all runs", [*ours, *baseline])
    problems = sorted(ours[0])
    return [[a[p] - b[p] for p in problems] for a, b in zip(ours, baseline, strict=True)]


def _drawn_mean(differences: Sequence[Sequence[float]], seeds: Sequence[int], rng: random.Random) -> float:
    by_problem = list(map(math.fsum, zip(*(differences[s] for s in seeds), strict=True)))
    return math.fsum(rng.choices(by_problem, k=len(by_problem))) / (len(by_problem) * len(seeds))


def _percentiles(value: float, ordered: Sequence[float], level: float) -> Interval:
    tail = (1.0 - level) / 2.0
    return Interval(value=value, low=_quantile(ordered, tail), high=_quantile(ordered, 1.0 - tail))


def _quantile(ordered: Sequence[float], q: float) -> float:
    """Quantile by linear interpolation between order statistics."""
    position = q * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def _check_same(who: str, tables: Sequence[Mapping[str, float]]) -> None:
    expected = set(tables[0])
    if not expected:
        raise ValueError("paired difference: expected at least one problem; got none")
    for table in tables[1:]:
        odd = sorted(expected ^ set(table))
        if odd:
            raise ValueError(
                f"paired difference: expected {who} to be evaluated on the same problems; {len(odd)} occur in one "
                f"only, such as {odd[0]!r}. Evaluate both with the same task, split and count"
            )
