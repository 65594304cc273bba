import math

import pytest

from mel.objective.weight import Constant, GradNorm, scheduled


def test_a_constant_weight_is_what_was_given_whatever_is_measured():
    weight = Constant(0.5)
    assert weight.value == 0.5
    assert weight.measured(policy_norm=3.0, auxiliary_norm=9.0) == 0.5
    assert weight.every == 0


def test_a_measuring_step_holds_the_share_exactly():
    weight = GradNorm(3.0, every=1)
    assert weight.value is None
    # lambda * 4 = 3 * 2
    assert weight.measured(policy_norm=2.0, auxiliary_norm=4.0) == 1.5


def test_between_measurements_lambda_follows_the_exponential_mean_of_the_ratio():
    weight = GradNorm(2.0, every=5, decay=0.5)
    weight.measured(policy_norm=1.0, auxiliary_norm=1.0)
    assert weight.value == pytest.approx(2.0)
    weight.measured(policy_norm=4.0, auxiliary_norm=1.0)
    # (0.25 * 1 + 0.5 * 4) / 0.75 = 3
    assert weight.value == pytest.approx(2.0 * 3.0)


@pytest.mark.parametrize(("policy", "auxiliary"), [(1.0, 0.0), (math.inf, 1.0), (1.0, math.nan)])
def test_norms_that_say_nothing_give_lambda_zero_and_leave_the_mean_alone(policy, auxiliary):
    weight = GradNorm(1.0)
    weight.measured(policy_norm=2.0, auxiliary_norm=1.0)
    assert weight.measured(policy_norm=policy, auxiliary_norm=auxiliary) == 0.0
    assert weight.value == pytest.approx(2.0)


def test_the_mean_survives_saving_and_restoring():
    before, after = GradNorm(1.0, decay=0.7), GradNorm(1.0, decay=0.7)
    before.measured(policy_norm=3.0, auxiliary_norm=1.0)
    after.restore(before.state())
    assert after.value == before.value
    constant = Constant(2.0)
    constant.restore(constant.state())
    assert constant.value == 2.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(-1.0), "lambda: expected a finite number of at least 0"),
        (lambda: Constant(1.0, every=-1), "every: expected 0"),
        (lambda: GradNorm(math.nan), "share: expected a finite number of at least 0"),
        (lambda: GradNorm(1.0, every=0), "every: expected at least 1"),
        (lambda: GradNorm(1.0, decay=1.0), "decay: expected 0 <= decay < 1"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("schedule", "progress", "factor"),
    [
        *[("constant", progress, 1.0) for progress in (0.0, 0.5, 1.0)],
        *[("linear", 0.0, 1.0), ("linear", 0.25, 0.8), ("linear", 1.0, 0.2)],
        # (1 + cos 60 degrees) / 2 = 3/4 of the way from 0.2 to 1
        *[("cosine", 0.0, 1.0), ("cosine", 1 / 3, 0.8), ("cosine", 0.5, 0.6), ("cosine", 1.0, 0.2)],
    ],
)
def test_a_schedule_leads_from_all_of_the_weight_to_what_is_left_at_the_end(schedule, progress, factor):
    assert scheduled(schedule, progress, final=0.2) == pytest.approx(factor)
