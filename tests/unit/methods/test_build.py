"""Filling the three slots by name, and rates out of counts."""

from typing import TypeVar

import pytest
from stories import PROMPTS, RIGHT, TASK, WRONG_AT_2, Canned, candidate, group, replayed, words

from mel.methods import CARRIERS, CREDITS, MetaExperienceLearning, MetaExperienceSettings, Surroundings, build, drive
from mel.ports import Requests
from mel.types import Outcome

T = TypeVar("T")

AT = Surroundings(tokenizer=words(), prompts=PROMPTS, steps=TASK.steps, rollout_max_tokens=44)


def test_mel_is_grpo_with_one_auxiliary() -> None:
    settings = MetaExperienceSettings()
    method = build(at=AT, auxiliaries=[settings])
    (auxiliary,) = method.auxiliaries
    assert (method.carrier.name, method.credit.name, auxiliary.name) == ("grpo", "outcome", "meta_experience")
    assert isinstance(auxiliary, MetaExperienceLearning)
    assert auxiliary.settings is settings


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("credit", CREDITS)
def test_every_carrier_goes_with_every_credit(carrier: str, credit: str) -> None:
    method = build(at=AT, carrier=carrier, credit=credit, auxiliaries=[MetaExperienceSettings()])
    assert (method.carrier.name, method.credit.name) == (carrier, credit)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"carrier": "dr-grpo"}, r"carrier: expected one of dapo, dr_grpo, .*, got 'dr-grpo'; did you mean 'dr_grpo'"),
        ({"credit": "firsterror"}, r"credit rule: .*, got 'firsterror'; did you mean 'first_error'"),
        ({"credit": "first_error"}, r"'first_error' reads s\* from meta-experiences; add the auxiliary"),
    ],
)
def test_a_slot_that_cannot_be_filled_is_refused(names: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(at=AT, **names)  # type: ignore[arg-type]


def test_credit_that_reads_the_ledger_does_not_go_with_experiences_of_earlier_batches() -> None:
    message = r"'meta_experience' gathers 4 generation batches, while credit 'first_error' reads those of the batch"
    with pytest.raises(ValueError, match=message):
        build(at=AT, credit="first_error", auxiliaries=[MetaExperienceSettings(gather=4)])


def answered(requests: Requests[T]) -> T:
    """The result of a computation that asks for nothing."""
    return drive(requests, Canned([]), TASK)


def test_outcome_credit_leaves_advantages_alone_and_first_error_excuses_the_beginning() -> None:
    both = group(RIGHT, WRONG_AT_2)
    item = replayed(candidate(), RIGHT)
    made = {"meta_experience": Outcome(replayed=(item,))}
    assert answered(CREDITS["outcome"]().build(AT).assign([both], [[1.0, -1.0]], made)) is None
    group_of_item = item.candidate.pair.group
    found = answered(CREDITS["first_error"]().build(AT).assign([group_of_item], [[1.0, -0.5]], made))
    assert found == [[[1.0] * 21, [0.0] * 6 + [-0.5] * 15]]


def test_rates_are_quotients_of_sums_and_left_out_where_nothing_was_counted() -> None:
    counts = {"candidates": 8, "parsed": 6, "leaks": 3, "replayed": 4, "kept": 3, "attempts": 8, "attempts_right": 5}
    assert MetaExperienceSettings.rates_of(counts) == {
        "retention": 0.75,
        "parse_rate": 0.75,
        "leak_rate": 0.5,
        "replay_success": 0.625,
    }
    assert MetaExperienceSettings.rates_of({}) == {}
    assert MetaExperienceSettings.rates_of({"locatable": 0, "located": 0}) == {}
