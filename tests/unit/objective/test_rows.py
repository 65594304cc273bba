import pytest
import torch

from mel.objective.rows import Totals, pad_rows, spread
from mel.types import Row


def row(context, target, *, weight=1.0, term="nll"):
    return Row(context_ids=tuple(context), target_ids=tuple(target), weight=weight, term=term)


def test_contexts_end_and_targets_begin_at_the_same_column():
    rows = [row([1, 2, 3], [4]), row([5], [6, 7])]
    batch = pad_rows(rows, Totals.of(rows), pad_id=0, count=2, reduction="row")
    assert batch.ids_RL.tolist() == [[1, 2, 3, 4, 0], [0, 0, 5, 6, 7]]
    assert batch.attention_RL.tolist() == [[1, 1, 1, 1, 0], [0, 0, 1, 1, 1]]
    assert batch.target_RT.tolist() == [[True, False], [True, True]]


def test_the_row_mean_divides_by_length_and_number_of_rows():
    rows = [row([1], [2, 3], weight=0.5), row([1], [2, 3, 4, 5])]
    batch = pad_rows(rows, Totals.of(rows), pad_id=0, count=2, reduction="row")
    assert batch.scale_R.tolist() == [0.5 / (2 * 2), 1 / (4 * 2)]


def test_the_token_mean_divides_by_all_tokens():
    rows = [row([1], [2, 3]), row([1], [2, 3, 4, 5])]
    batch = pad_rows(rows, Totals.of(rows), pad_id=0, count=2, reduction="token")
    assert batch.scale_R.tolist() == pytest.approx([1 / 6, 1 / 6])


def test_each_term_has_its_own_denominator_over_all_ranks():
    here = [row([1], [2]), row([1], [2, 3], term="policy", weight=-1.0)]
    elsewhere = [row([1], [2]), row([1], [2])]
    totals = Totals.sum([Totals.of(here), Totals.of(elsewhere)])
    batch = pad_rows(here, totals, pad_id=0, count=2, reduction="row")
    assert batch.scale_R.tolist() == pytest.approx([1 / 3, -1 / 2])
    assert batch.is_nll_R.tolist() == [True, False]


def test_dummy_rows_are_valid_tokens_without_target_or_scale():
    batch = pad_rows([], Totals.of([]), pad_id=7, count=2, reduction="row")
    assert batch.ids_RL.tolist() == [[7, 7], [7, 7]]
    assert batch.attention_RL.all()
    assert not batch.target_RT.any()
    assert batch.scale_R.tolist() == [0.0, 0.0]


def test_chunks_are_trimmed_to_their_own_longest_row():
    rows = [row([1, 2, 3], [4, 5]), row([6], [7])]
    first, second = pad_rows(rows, Totals.of(rows), pad_id=0, count=2, reduction="row").chunks(1)
    assert first.ids_RL.tolist() == [[1, 2, 3, 4, 5]]
    assert second.ids_RL.tolist() == [[6, 7]]
    assert second.target_RT.tolist() == [[True]]


def test_spread_gives_every_slot_its_share():
    assert spread(5, 2) == [3, 2]
    assert spread(2, 4) == [1, 1, 0, 0]
    assert spread(0, 3) == [0, 0, 0]


@pytest.mark.parametrize("bad", [row([], [1]), row([1], [])])
def test_a_row_without_context_or_target_is_refused(bad):
    with pytest.raises(ValueError, match="at least one context and one target token"):
        pad_rows([bad], Totals(rows={"nll": 1}, tokens={"nll": 1}), pad_id=0, count=1, reduction="row")


def test_more_rows_than_places_are_refused():
    rows = [row([1], [2])] * 2
    with pytest.raises(ValueError, match="at most 1 rows, got 2"):
        pad_rows(rows, Totals.of(rows), pad_id=0, count=1, reduction="row")


def test_moving_a_batch_keeps_its_values():
    rows = [row([1], [2])]
    batch = pad_rows(rows, Totals.of(rows), pad_id=0, count=1, reduction="row")
    assert torch.equal(batch.to("cpu").ids_RL, batch.ids_RL)
