"""Log-probabilities of a model on this machine: those of its own logits, whatever they are padded with."""

from __future__ import annotations

import pytest
import tiny
import torch

from mel.hosts.local_scorer import LocalScorer
from mel.requests import Score

CONTEXTS = ((5, 6, 7, 8, 9), (10,), (11, 12))
TARGETS = ((13, 14), (15, 16, 17, 18), ())


def test_each_target_has_the_log_probabilities_of_its_sequence_alone() -> None:
    model = tiny.model()
    found = LocalScorer(model, pad_id=0, batch_size=2).score(Score(contexts=CONTEXTS, targets=TARGETS))
    assert found[2] == ()
    for context, target, logps in zip(CONTEXTS[:2], TARGETS[:2], found[:2], strict=True):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([context + target])).logits[0]
        expected = logits.log_softmax(-1)[range(len(context) - 1, len(context + target) - 1), list(target)]
        assert logps == pytest.approx(expected.tolist(), abs=1e-5)


def test_the_policy_before_training_is_not_known_here() -> None:
    scorer = LocalScorer(tiny.model(), pad_id=0, batch_size=2)
    with pytest.raises(ValueError, match="need a trainer that keeps it"):
        scorer.score(Score(contexts=CONTEXTS, targets=TARGETS, policy="initial"))
