"""`Score` through the trainer is a dense forward pass, whatever the sampling temperature."""

import pytest
import reference
import tiny
import torch
from peft import LoraConfig

from mel.requests import Score
from mel.types import Outcome

CONTEXTS = ((5, 6, 7), (8,), (9, 10), (11, 12, 13, 14))
TARGETS = ((20, 21), (22, 23, 24, 25, 26), (), (27,))


class Asks:
    """An auxiliary that asks for log-probabilities and keeps the answers."""

    name = "asks"

    def __init__(self, *requests):
        self._requests = requests
        self.answers = []

    def learn(self, groups, *, step):
        for request in self._requests:
            self.answers.append((yield request))
        return Outcome()


def dense(model, contexts=CONTEXTS, targets=TARGETS):
    model = reference.double(model)
    with torch.no_grad():
        return [reference.logprobs(model, c, t).tolist() if t else [] for c, t in zip(contexts, targets, strict=True)]


def assert_equal(answer, expected):
    assert [len(found) for found in answer] == [len(values) for values in expected]
    for found, values in zip(answer, expected, strict=True):
        assert list(found) == pytest.approx(values, abs=1e-6, rel=1e-6)


def asked(args, *requests, **keywords):
    auxiliary = Asks(*requests)
    trainer = tiny.mel_trainer(args, auxiliary, **keywords)
    trainer.train()
    return trainer, auxiliary.answers


@pytest.mark.parametrize("size", [2, 8])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_a_score_is_the_dense_forward_pass_at_any_sampling_temperature(tmp_path, temperature, size):
    args = tiny.config(
        tmp_path,
        max_steps=1,
        temperature=temperature,
        per_device_train_batch_size=size,
        gradient_accumulation_steps=8 // size,
    )
    empty = Score(contexts=(), targets=())
    _, (first, none, again) = asked(
        args, Score(contexts=CONTEXTS, targets=TARGETS), empty, Score(contexts=CONTEXTS, targets=TARGETS)
    )
    assert_equal(first, dense(tiny.model()))
    assert (none, again) == ([], first)


def test_the_current_policy_is_the_one_of_now(tmp_path):
    args = tiny.config(tmp_path, max_steps=2)
    _, (before, after) = asked(args, Score(contexts=CONTEXTS, targets=TARGETS))
    assert_equal(before, dense(tiny.model()))
    assert max(abs(a - b) for x, y in zip(before, after, strict=True) for a, b in zip(x, y, strict=True)) > 0.01


INITIAL = Score(contexts=CONTEXTS, targets=TARGETS, policy="initial")


def assert_trained_from(answers, trainer, expected):
    """The last answer is still the first policy's, and the trainer's own is another by now."""
    assert_equal(answers[0], expected)
    assert_equal(answers[-1], expected)
    assert len(answers) == 3


def saved(folder):
    """The tiny model from a directory, where TRL finds its reference again."""
    tiny.model().save_pretrained(folder / "model")
    return str(folder / "model")


def test_the_initial_policy_is_the_reference_model_where_there_is_one(tmp_path):
    trainer, answers = asked(tiny.config(tmp_path, beta=0.01), INITIAL, model=saved(tmp_path))
    assert trainer.ref_model is not None
    assert_trained_from(answers, trainer, dense(tiny.model()))
    assert not torch.equal(next(trainer.model.parameters()), next(tiny.model().parameters()))


LORA = LoraConfig(r=2, lora_alpha=64, target_modules=["q_proj", "v_proj"], init_lora_weights=True)


def test_the_initial_policy_is_the_one_without_the_adapter(tmp_path):
    current = Score(contexts=CONTEXTS, targets=TARGETS)
    trainer, answers = asked(tiny.config(tmp_path, learning_rate=5e-2), INITIAL, current, peft_config=LORA)
    assert_trained_from(answers[::2], trainer, dense(tiny.model()))
    moved = [abs(a - b) for x, y in zip(answers[4], answers[5], strict=True) for a, b in zip(x, y, strict=True)]
    assert max(moved) > 0.01


def test_a_score_has_no_dropout(tmp_path):
    request = Score(contexts=CONTEXTS, targets=TARGETS)
    dropping = LoraConfig(r=2, lora_alpha=64, lora_dropout=0.5, target_modules=["q_proj"], init_lora_weights=False)
    trainer, (first, second) = asked(tiny.config(tmp_path, max_steps=1), request, request, peft_config=dropping)
    assert first == second
    assert trainer.model.training


def with_trained_adapter():
    from peft import get_peft_model

    model = get_peft_model(tiny.model(), LORA)
    torch.manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.02)
    return model


def test_the_initial_policy_of_an_adapter_trained_further_is_the_adapter_as_it_was(tmp_path):
    args = tiny.config(tmp_path, beta=0.01, learning_rate=5e-2)
    trainer, answers = asked(args, INITIAL, model=with_trained_adapter())
    assert_trained_from(answers, trainer, dense(with_trained_adapter().merge_and_unload()))


def test_without_an_initial_policy_at_hand_the_question_is_refused(tmp_path):
    with pytest.raises(ValueError, match="set beta above 0"):
        asked(tiny.config(tmp_path, max_steps=1), INITIAL)


def test_a_reference_that_follows_the_policy_is_not_the_initial_one(tmp_path):
    args = tiny.config(tmp_path, max_steps=1, beta=0.01, sync_ref_model=True)
    with pytest.raises(ValueError, match="sync_ref_model"):
        asked(args, INITIAL, model=saved(tmp_path))
