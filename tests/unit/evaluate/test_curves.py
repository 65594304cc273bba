"""Learning curves: values by hand."""

import pytest

from mel.evaluate.curves import area_under, cost_to_reach, score_at

CURVE = [(0.0, 0.2), (10.0, 0.4), (30.0, 0.8), (40.0, 0.7)]


@pytest.mark.parametrize(
    ("cost", "score"), [(0.0, 0.2), (5.0, 0.3), (10.0, 0.4), (20.0, 0.6), (40.0, 0.7), (40.1, None), (-1.0, None)]
)
def test_the_score_at_a_cost_is_linear_between_measurements_and_unknown_outside(
    cost: float, score: float | None
) -> None:
    assert score_at(CURVE, cost) == (None if score is None else pytest.approx(score))


def test_the_area_is_the_mean_score_over_the_costs() -> None:
    # 10 x 0.3 + 20 x 0.6 + 10 x 0.75 over 40
    assert area_under(CURVE) == pytest.approx(22.5 / 40)
    assert area_under(CURVE[:1]) is None
    assert area_under([(3.0, 0.1), (3.0, 0.9)]) is None


@pytest.mark.parametrize(
    ("score", "cost"), [(0.1, 0.0), (0.3, 5.0), (0.6, 20.0), (0.8, 30.0), (0.75, 27.5), (0.9, None)]
)
def test_the_cost_of_an_accuracy_is_where_the_curve_first_crosses_it(score: float, cost: float | None) -> None:
    assert cost_to_reach(CURVE, score) == (None if cost is None else pytest.approx(cost))
