"""The quality gate: closed while running means of retention or uplift are too low, open before anything is known."""

from __future__ import annotations

from typing import Any

import pytest
from stories import ANALYSIS, PROMPTS, RIGHT, TASK, WRONG_AT_2, Canned, candidate, group, replayed, words

from mel.methods import PAPER, MetaExperienceLearning, MetaExperienceSettings, Surroundings, drive
from mel.methods.auxiliaries.meta_experience.gate import Gate
from mel.types import Outcome

AT = Surroundings(tokenizer=words(), prompts=PROMPTS, steps=TASK.steps, rollout_max_tokens=44)


def gate(**changes: Any) -> Gate:
    return Gate.of(MetaExperienceSettings(**{"gate": "quality", "gate_decay": 0.5} | changes))


def batch(kept: int, replayed: int, right: int, expected: float, attempts: int) -> dict[str, float]:
    return {
        **{"kept": kept, "replayed": replayed, "attempts_right": right},
        **{"attempts_expected": expected, "attempts": attempts, "rows": 7},
    }


def test_nothing_is_closed_before_anything_is_known_nor_without_a_gate() -> None:
    assert not gate().is_closed
    always = Gate.of(MetaExperienceSettings())
    always.hear(batch(0, 4, 0, 4.0, 4))
    assert not always.is_closed


@pytest.mark.parametrize(("kept", "is_closed"), [(1, True), (2, False)])
def test_it_closes_below_its_retention(kept: int, is_closed: bool) -> None:
    one = gate(gate_retention=0.5, gate_uplift=-1.0)
    one.hear(batch(kept, 4, kept, 2.0, 4))
    assert one.is_closed is is_closed


@pytest.mark.parametrize(("expected", "is_closed"), [(1.5, True), (1.0, False)])
def test_it_closes_below_its_uplift(expected: float, is_closed: bool) -> None:
    # 2 of 4 right: an uplift of 0.5 - 0.375 = 0.125, or of 0.25.
    one = gate(gate_retention=0.0, gate_uplift=0.25)
    one.hear(batch(2, 4, 2, expected, 4))
    assert one.is_closed is is_closed


def test_it_opens_again_by_the_running_means_and_a_batch_without_replays_says_nothing() -> None:
    one = gate(gate_retention=0.5)
    one.hear(batch(0, 4, 0, 0.0, 4))
    one.hear({"attempts": 0, "rows": 0})
    assert one.is_closed
    one.hear(batch(3, 4, 3, 0.0, 4))
    # (0.5 * 0 + 3) / (0.5 * 4 + 4)
    assert not one.is_closed
    assert one.sums == {"kept": 3, "replayed": 6, "attempts_right": 3, "attempts_expected": 0, "attempts": 6}


def test_attempts_are_expected_right_at_the_pass_rate_of_their_group() -> None:
    item = replayed(candidate(), RIGHT, WRONG_AT_2, RIGHT)
    assert gate().counts([item, item]) == {"attempts_expected": 3.0, "gate_closed": 0.0}
    assert Gate.of(MetaExperienceSettings()).counts([item]) == {}


def learn(method: MetaExperienceLearning) -> Outcome:
    return drive(method.learn([group(RIGHT, WRONG_AT_2)], step=1), Canned([[ANALYSIS], [RIGHT]]), TASK)


def test_behind_a_closed_gate_all_is_measured_and_counted_and_nothing_learned() -> None:
    settings = MetaExperienceSettings(**PAPER | {"gate": "quality"})
    method, resumed = MetaExperienceLearning(settings, AT), MetaExperienceLearning(settings, AT)
    opened = learn(method)
    assert (len(opened.rows), opened.counts["gate_closed"], opened.counts["attempts_expected"]) == (1, 0, 0.5)
    method.hear(batch(0, 4, 0, 2.0, 4))
    resumed.restore(method.state())
    for one in (method, resumed):
        closed = learn(one)
        assert (closed.rows, closed.counts["rows"], closed.counts["kept"]) == ((), 0, 1)
        assert (closed.counts["gate_closed"], closed.counts["not_learned/gate_closed"]) == (1, 1)
