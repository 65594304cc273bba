"""Denominators over ranks, and which slot learns which row."""

import pytest

from mel.step.slots import Totals, key_of, lay_out, spread
from mel.types import Row


def row(context: int, target: int, **fields: object) -> Row:
    return Row(context_ids=(1,) * context, target_ids=(2,) * target, **fields)  # type: ignore[arg-type]


def test_the_row_mean_divides_by_length_and_number_of_rows() -> None:
    rows = [row(1, 2, weight=0.5), row(1, 4)]
    totals = Totals.of(rows)
    assert [totals.scale(r, "row") for r in rows] == [0.5 / (2 * 2), 1 / (4 * 2)]


def test_the_token_mean_divides_by_all_tokens() -> None:
    rows = [row(1, 2, weight=0.5), row(1, 4)]
    totals = Totals.of(rows)
    assert [totals.scale(r, "token") for r in rows] == pytest.approx([0.5 / 6, 1 / 6])


def test_auxiliaries_and_terms_have_a_denominator_each_over_all_ranks() -> None:
    here = [row(1, 1, auxiliary="a"), row(1, 2, auxiliary="a", term="distill"), row(1, 3, auxiliary="b")]
    elsewhere = [row(1, 1, auxiliary="a"), row(1, 5, auxiliary="a")]
    totals = Totals.sum([Totals.of(here), Totals.of(elsewhere)])
    assert totals.rows == {("a", "distill"): 1, ("a", "nll"): 3, ("b", "nll"): 1}
    assert totals.tokens == {("a", "distill"): 2, ("a", "nll"): 7, ("b", "nll"): 3}
    assert totals.num_rows == 5
    assert [totals.scale(r, "row") for r in here] == pytest.approx([1 / 3, 1 / 2, 1 / 3])
    assert [totals.scale(r, "token") for r in here] == pytest.approx([1 / 7, 1 / 2, 1 / 3])


def test_every_rank_fills_up_to_the_most_rows_of_any() -> None:
    parts = [Totals.of([row(1, 1, auxiliary="a")] * n) for n in (2, 0, 3)]
    assert Totals.sum(parts).most == {("a", "nll"): 3}
    assert Totals.sum([Totals.of([])] * 2) == Totals()


def test_ranks_hold_the_keys_in_one_order_whatever_rows_they_saw_first() -> None:
    left, right = [row(1, 1, auxiliary="b"), row(1, 1, auxiliary="a")], [row(1, 1, auxiliary="a")]
    orders = [list(Totals.sum([Totals.of(x), Totals.of(y)]).most) for x, y in ((left, right), (right, left))]
    assert orders == [[("a", "nll"), ("b", "nll")]] * 2


def test_rows_are_told_apart_by_auxiliary_and_term() -> None:
    assert key_of(row(1, 1, auxiliary="a", term="policy")) == ("a", "policy")
    assert key_of(row(1, 1, auxiliary="a")) == ("a", "nll")


def test_spread_gives_every_slot_its_share() -> None:
    assert spread(5, 2) == [3, 2]
    assert spread(2, 4) == [1, 1, 0, 0]
    assert spread(0, 3) == [0, 0, 0]


def test_long_rows_are_dealt_out_first_and_in_turn() -> None:
    rows = [row(1, 1), row(4, 5), row(1, 2), row(2, 2), row(3, 4)]
    slots = lay_out(rows, num_slots=2)
    assert [[len(r.context_ids) + len(r.target_ids) for r in slot] for slot in slots] == [[9, 4, 2], [7, 3]]
    assert [len(slot) for slot in slots] == spread(5, 2)


def test_more_slots_than_rows_leave_the_last_ones_empty() -> None:
    one = row(1, 1)
    assert lay_out([one], num_slots=3) == [[one], [], []]
