import dataclasses

import pytest
import torch

from mel.objective.rows import pad_rows
from mel.types import Reference, Row


def row(context, target, **fields):
    return Row(context_ids=tuple(context), target_ids=tuple(target), **fields)


def policy_row(context, target, advantages, is_sampled):
    return row(context, target, term="policy", advantages=tuple(advantages), is_sampled=tuple(is_sampled))


def distill_row(context, target, reference, **settings):
    return row(context, target, term="distill", reference=Reference(context_ids=tuple(reference), **settings))


def padded(*rows, count=None, **settings):
    return pad_rows(rows, [1.0] * len(rows), pad_id=0, count=count or len(rows), **settings)


def test_contexts_end_and_targets_begin_at_the_same_column():
    batch = padded(row([1, 2, 3], [4]), row([5], [6, 7]))
    assert batch.ids_RL.tolist() == [[1, 2, 3, 4, 0], [0, 0, 5, 6, 7]]
    assert batch.attention_RL.tolist() == [[1, 1, 1, 1, 0], [0, 0, 1, 1, 1]]
    assert batch.target_RT.tolist() == [[True, False], [True, True]]
    assert (batch.term, batch.auxiliary) == ("nll", "")


def test_a_row_has_the_scale_that_was_given():
    rows = [row([1], [2, 3], auxiliary="hints"), row([1], [2], auxiliary="hints")]
    batch = pad_rows(rows, [0.5, 0.25], pad_id=0, count=3)
    assert batch.scale_R.tolist() == [0.5, 0.25, 0.0]
    assert batch.is_real_R.tolist() == [True, True, False]
    assert batch.auxiliary == "hints"


def test_a_policy_row_keeps_its_advantages_and_which_tokens_were_sampled():
    rows = [policy_row([1, 2], [3, 4, 5], [0.0, -2.0, 3.0], [False, True, True]), policy_row([6], [7], [1.0], [True])]
    batch = padded(*rows, count=3)
    assert batch.advantages_RT is not None
    assert batch.sampled_RT is not None
    assert batch.advantages_RT.tolist() == [[0.0, -2.0, 3.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    assert batch.sampled_RT.tolist() == [[False, True, True], [True, False, False], [False, False, False]]
    assert batch.target_RT.tolist() == [[True, True, True], [True, False, False], [False, False, False]]
    assert batch.old_logp_RT is None


def test_the_teacher_of_a_distill_row_reads_its_own_context_before_the_same_targets():
    rows = [
        distill_row([1, 2], [3], [4, 5, 6], divergence="jsd", top_k=2),
        distill_row([7], [8, 9], [1], divergence="jsd", top_k=2),
    ]
    batch = padded(*rows, count=3)
    assert batch.reference_ids_RM is not None
    assert batch.reference_attention_RM is not None
    assert batch.ids_RL.tolist() == [[1, 2, 3, 0], [0, 7, 8, 9], [0, 0, 0, 0]]
    assert batch.reference_ids_RM.tolist() == [[4, 5, 6, 3, 0], [0, 0, 1, 8, 9], [0, 0, 0, 0, 0]]
    assert batch.reference_attention_RM.tolist() == [[1, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0]]
    assert (batch.divergence, batch.top_k) == ("jsd", 2)


@pytest.mark.parametrize("term", ["nll", "policy", "distill"])
def test_dummy_rows_are_valid_tokens_without_target_or_scale(term):
    batch = pad_rows([], [], pad_id=7, count=2, term=term, auxiliary="hints")
    assert (batch.term, batch.auxiliary) == (term, "hints")
    assert batch.ids_RL.tolist() == [[7, 7], [7, 7]]
    assert batch.attention_RL.all()
    assert not batch.target_RT.any()
    assert batch.scale_R.tolist() == [0.0, 0.0]
    assert (batch.sampled_RT is not None) == (term == "policy")
    assert (batch.reference_ids_RM is not None) == (term == "distill")


def test_chunks_are_trimmed_to_their_own_longest_row():
    first, second = padded(row([1, 2, 3], [4, 5]), row([6], [7])).chunks(1)
    assert first.ids_RL.tolist() == [[1, 2, 3, 4, 5]]
    assert second.ids_RL.tolist() == [[6, 7]]
    assert second.target_RT.tolist() == [[True]]


def test_chunks_trim_everything_that_a_policy_row_needs():
    rows = [policy_row([1], [2, 3], [1.0, 2.0], [True, False]), policy_row([4, 5], [6], [3.0], [True])]
    whole = padded(*rows)
    whole = dataclasses.replace(whole, old_logp_RT=torch.tensor([[-1.0, -2.0], [-3.0, 0.0]]))
    first, second = whole.chunks(1)
    assert first.advantages_RT.tolist() == [[1.0, 2.0]]
    assert first.sampled_RT.tolist() == [[True, False]]
    assert first.old_logp_RT.tolist() == [[-1.0, -2.0]]
    assert second.ids_RL.tolist() == [[4, 5, 6]]
    assert second.advantages_RT.tolist() == [[3.0]]
    assert second.old_logp_RT.tolist() == [[-3.0]]


def test_chunks_trim_the_teachers_context_by_itself():
    first, second = padded(distill_row([1, 2], [3], [4]), distill_row([5], [6, 7], [8, 9, 1])).chunks(1)
    assert first.ids_RL.tolist() == [[1, 2, 3]]
    assert first.reference_ids_RM.tolist() == [[4, 3]]
    assert second.ids_RL.tolist() == [[5, 6, 7]]
    assert second.reference_ids_RM.tolist() == [[8, 9, 1, 6, 7]]
    assert second.reference_attention_RM.tolist() == [[1, 1, 1, 1, 1]]
    assert second.divergence == "forward_kl"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row([], [1]), "at least one context and one target token"),
        (row([1], []), "at least one context and one target token"),
        (policy_row([1], [2, 3], [1.0], [True, True]), "for each of its 2 targets; got 1 and 2"),
        (policy_row([1], [2], [1.0], []), "for each of its 1 targets; got 1 and 0"),
        (row([1], [2], term="distill"), "needs a `reference`"),
        (distill_row([1], [2], []), "needs a `reference`"),
    ],
)
def test_a_row_that_its_term_cannot_use_is_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        padded(bad)


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ([row([1], [2])] * 2, {"count": 1}, "at most 1 rows"),
        ([row([1], [2]), distill_row([1], [2], [3])], {}, "need one term and one auxiliary"),
        ([row([1], [2], auxiliary="a"), row([1], [2], auxiliary="b")], {}, "need one term and one auxiliary"),
        ([row([1], [2])], {"term": "policy"}, "need one term and one auxiliary"),
        ([], {"count": 1}, "say the term where there are no rows"),
        (
            [distill_row([1], [2], [3]), distill_row([1], [2], [3], top_k=5)],
            {},
            "need one divergence and one top_k",
        ),
        (
            [distill_row([1], [2], [3]), distill_row([1], [2], [3], divergence="jsd")],
            {},
            "need one divergence and one top_k",
        ),
    ],
)
def test_rows_that_do_not_fit_together_are_refused(rows, settings, message):
    with pytest.raises(ValueError, match=message):
        padded(*rows, **settings)


def test_every_row_needs_a_scale():
    with pytest.raises(ValueError, match="got 2 and 1 scales"):
        pad_rows([row([1], [2])] * 2, [1.0], pad_id=0, count=2)


def test_moving_a_batch_moves_every_tensor():
    moved = padded(distill_row([1], [2], [3], top_k=4)).to("meta")
    assert {t.device.type for t in (moved.ids_RL, moved.scale_R, moved.reference_ids_RM)} == {"meta"}
    assert moved.top_k == 4
