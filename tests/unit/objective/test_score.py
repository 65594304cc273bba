import pytest
import torch

from mel.objective.score import in_order, score_batches, token_logprobs
from mel.requests import Score

REQUEST = Score(contexts=((1,), (2, 3), (4,), (5, 1, 2)), targets=((2, 3), (), (1, 2, 3, 4), (6,)))


def answer(request, weights, **settings):
    """The answer under a model that looks at nothing but the token before."""
    batches = score_batches(request, pad_id=0, **settings)
    logps = []
    for batch in batches:
        ids, width = batch.rows.ids_RL, batch.rows.num_targets
        logps.append(token_logprobs(weights[ids[:, -width - 1 : -1]], ids[:, -width:]))
    return in_order(request, batches, logps)


def test_batches_hold_rows_of_like_length_and_none_without_targets():
    batches = score_batches(REQUEST, pad_id=0, rows_per_batch=2)
    assert [batch.positions for batch in batches] == [(2, 3), (0,)]
    assert batches[0].rows.ids_RL.tolist() == [[0, 0, 4, 1, 2, 3, 4], [5, 1, 2, 6, 0, 0, 0]]
    assert batches[1].rows.ids_RL.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("rows_per_batch", [1, 2, 5])
def test_every_target_gets_its_log_probabilities_in_the_order_of_the_request(rows_per_batch):
    weights = torch.randn(7, 7, generator=torch.Generator().manual_seed(0))
    dense = weights.double().log_softmax(-1)
    found = answer(REQUEST, weights, rows_per_batch=rows_per_batch)
    assert [len(logps) for logps in found] == [2, 0, 4, 1]
    for context, target, logps in zip(REQUEST.contexts, REQUEST.targets, found, strict=True):
        before = (context[-1], *target[:-1])
        assert logps == pytest.approx([dense[b, t].item() for b, t in zip(before, target, strict=False)], abs=1e-6)


def test_a_rank_with_fewer_targets_makes_as_many_forward_passes_as_the_others():
    empty = Score(contexts=(), targets=())
    batches = score_batches(empty, pad_id=3, rows_per_batch=2, most=5)
    assert len(batches) == len(score_batches(REQUEST, pad_id=3, rows_per_batch=2, most=5)) == 3
    assert [batch.rows.ids_RL.tolist() for batch in batches] == [[[3, 3]]] * 3
    assert in_order(empty, batches, [torch.zeros(1, 1)] * 3) == []
    weights = torch.randn(7, 7)
    assert answer(REQUEST, weights, rows_per_batch=2, most=9) == answer(REQUEST, weights, rows_per_batch=2)


def test_an_empty_request_without_other_ranks_needs_no_forward_pass():
    assert score_batches(Score(contexts=(), targets=()), pad_id=0, rows_per_batch=2) == []


def test_more_targets_than_the_most_of_any_rank_are_refused():
    with pytest.raises(ValueError, match="at most 3 targets"):
        score_batches(REQUEST, pad_id=0, rows_per_batch=2, most=3)


def test_a_target_without_context_is_refused():
    with pytest.raises(ValueError, match="at least one context"):
        score_batches(Score(contexts=((),), targets=((1,),)), pad_id=0, rows_per_batch=1)
