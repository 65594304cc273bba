import json
import random
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import pytest

from mel.evaluate.scores import (
    average_at_k,
    bootstrap_macro_mean,
    exact_bootstrap_mean,
    macro_paired_difference,
    pass_at_k,
)

VECTORS = Path(__file__).parents[4] / "shared" / "data" / "metrics" / "passk_vectors.jsonl"


def test_pass_at_k_equals_the_reference_vectors_exactly() -> None:
    if not VECTORS.is_file():
        pytest.skip(f"the reference vectors are not in this checkout's neighborhood ({VECTORS.name})")
    rows = [json.loads(line) for line in VECTORS.read_text().splitlines()]
    assert len(rows) == 249
    for row in rows:
        assert pass_at_k(row["n"], row["c"], row["k"]) == row["value"] == int(row["num"]) / int(row["den"]), row


def test_pass_at_k_equals_enumeration() -> None:
    for n in range(1, 7):
        for c in range(n + 1):
            for k in range(1, n + 1):
                draws = list(combinations([i < c for i in range(n)], k))
                assert pass_at_k(n, c, k) == sum(map(any, draws)) / len(draws)


def test_pass_at_1_is_the_average() -> None:
    assert pass_at_k(8, 3, 1) == average_at_k(8, 3) == 0.375


def test_pass_at_k_of_thousands_of_samples_does_not_overflow() -> None:
    assert pass_at_k(10_000, 1, 100) == pytest.approx(0.01, rel=1e-12)


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 5), (4, 2, 0), (0, 0, 1)])
def test_impossible_counts_are_refused(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match=r"expected 0 <= correct <= samples and 1 <= k <= samples; got"):
        pass_at_k(n, c, k)


def test_no_response_has_no_average() -> None:
    with pytest.raises(ValueError, match="at least one response"):
        average_at_k(0, 0)


def test_a_bootstrap_interval_has_the_width_of_the_normal_one() -> None:
    # 400 problems, 30 % right: standard error sqrt(.3 * .7 / 400) = .0229, half width .0449.
    interval = bootstrap_macro_mean([[1.0] * 120 + [0.0] * 280])
    assert interval.value == 0.3
    assert interval.low == pytest.approx(0.3 - 0.0449, abs=0.004)
    assert interval.high == pytest.approx(0.3 + 0.0449, abs=0.004)


def test_a_bootstrap_is_the_same_every_time_and_another_with_another_seed() -> None:
    values = [0.1 * (i % 7) for i in range(50)]
    assert bootstrap_macro_mean([values]) == bootstrap_macro_mean([values])
    assert bootstrap_macro_mean([values]) != bootstrap_macro_mean([values], seed=1)


def test_values_that_are_all_the_same_leave_no_doubt() -> None:
    interval = bootstrap_macro_mean([[0.25] * 9])
    assert (interval.low, interval.value, interval.high) == (0.25, 0.25, 0.25)


def test_nothing_has_no_mean() -> None:
    with pytest.raises(ValueError, match="at least one problem"):
        bootstrap_macro_mean([[]])


def test_benchmarks_weigh_alike_whatever_their_size() -> None:
    # Means 1 and .25: the macro average is .625, the average over all 8 problems would be .4375.
    assert bootstrap_macro_mean([[1.0, 1.0], [1.0, 0.0, 0.0, 0.0]]).value == 0.625
    with pytest.raises(ValueError, match="at least one problem in each"):
        bootstrap_macro_mean([[1.0], []])


def test_a_paired_difference_is_surer_than_two_separate_means() -> None:
    hard = {f"p{i}": float(i % 2) for i in range(100)}
    ours = {p: min(1.0, v + (0.2 if p.endswith("4") else 0.0)) for p, v in hard.items()}
    difference = macro_paired_difference([([ours], [hard])])
    # One problem in ten gains .2.
    assert difference.value == pytest.approx(0.02)
    assert 0.0 < difference.low < difference.high < 0.04
    unpaired = bootstrap_macro_mean([list(ours.values())])
    assert unpaired.high - unpaired.low > 5 * (difference.high - difference.low)


def test_a_difference_between_other_problems_is_refused_with_one_of_them() -> None:
    with pytest.raises(ValueError, match=r"same problems; 2 occur in one only, such as 'a'"):
        macro_paired_difference([([{"a": 1.0, "c": 0.0}], [{"b": 1.0, "c": 0.0}])])
    with pytest.raises(ValueError, match="at least one problem"):
        macro_paired_difference([([{}], [{}])])


def test_over_one_seed_the_difference_is_the_mean_over_problems() -> None:
    ours, baseline = {"a": 1.0, "b": 0.5, "c": 0.0}, {"a": 0.0, "b": 0.5, "c": 0.0}
    assert macro_paired_difference([([ours], [baseline])]).value == pytest.approx(1 / 3)


def test_seeds_that_disagree_widen_the_interval() -> None:
    problems = [f"p{i}" for i in range(50)]
    baseline = [dict.fromkeys(problems, 0.5)] * 4
    agree = [dict.fromkeys(problems, 0.6)] * 4
    disagree = [dict.fromkeys(problems, 0.5 + d) for d in (0.3, -0.1, 0.3, -0.1)]
    sure = macro_paired_difference([(agree, baseline)])
    unsure = macro_paired_difference([(disagree, baseline)])
    assert sure.value == pytest.approx(unsure.value) == pytest.approx(0.1)
    assert sure.high - sure.low == pytest.approx(0.0, abs=1e-12)
    assert unsure.low < 0.0 < 0.25 < unsure.high


def test_seeds_must_match_in_number() -> None:
    with pytest.raises(ValueError, match="expected the same seeds on both sides, at least one; got 2 and 1"):
        macro_paired_difference([([{"a": 1.0}] * 2, [{"a": 1.0}])])


def test_intervals_are_those_of_scipy_within_what_sampling_leaves_open() -> None:
    stats, numpy = pytest.importorskip("scipy.stats"), pytest.importorskip("numpy")
    rng = random.Random(3)
    baseline = {f"p{i}": float(rng.random() < 0.4) for i in range(60)}
    ours = {problem: float(rng.random() < 0.6) for problem in baseline}
    differences = [ours[problem] - baseline[problem] for problem in baseline]
    theirs = stats.bootstrap(
        (differences,), numpy.mean, method="percentile", n_resamples=20_000, rng=numpy.random.default_rng(0)
    ).confidence_interval
    # The quantile of 20,000 means is off by about sqrt(0.025 * 0.975 / n) / density: 0.003 here, 1/60 apart at most.
    expected = (pytest.approx(theirs.low, abs=0.017), pytest.approx(theirs.high, abs=0.017))
    mean = bootstrap_macro_mean([differences], resamples=20_000)
    paired = macro_paired_difference([([ours], [baseline])], resamples=20_000)
    assert (mean.low, mean.high) == expected
    assert (paired.low, paired.high) == expected
    assert mean.value == paired.value == pytest.approx(float(numpy.mean(differences)))


def bounds(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    interval = exact_bootstrap_mean(values, level=level)
    return interval.low, interval.high


def test_an_exact_bootstrap_counts_every_draw() -> None:
    # Of (0, 1) a quarter of the draws is (0, 0), half is mixed, a quarter (1, 1).
    assert bounds([0.0, 1.0]) == (0.0, 1.0)
    assert bounds([0.0, 1.0], level=0.4) == (0.5, 0.5)
    assert bounds([0.3, 0.3, 0.3]) == (pytest.approx(0.3), pytest.approx(0.3))
    assert exact_bootstrap_mean([0.0, 1.0]).value == 0.5


def test_an_exact_bootstrap_agrees_with_scipy() -> None:
    stats, numpy = pytest.importorskip("scipy.stats"), pytest.importorskip("numpy")
    values = [0.52, 0.61, 0.57, 0.7, 0.49]
    theirs = stats.bootstrap(
        (values,), numpy.mean, method="percentile", n_resamples=20_000, rng=numpy.random.default_rng(0)
    ).confidence_interval
    # 126 means lie on a grid of at least 0.002; a draw of 20,000 may end in the neighbor.
    assert bounds(values) == (pytest.approx(theirs.low, abs=0.006), pytest.approx(theirs.high, abs=0.006))
