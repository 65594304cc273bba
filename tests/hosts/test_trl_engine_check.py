"""An engine that samples from other weights than those trained is found out."""

import pytest
import tiny
import torch

from mel.hosts.trl import StaleEngineError
from mel.hosts.trl.engine_guard import is_comparable, logp_difference


def engine(model_of):
    """A rollout function that samples from `model_of(trainer)` and reports its log-probabilities, as vLLM does."""

    def rollout(prompts, trainer):
        model = model_of(trainer)
        ids = trainer._tokenize_prompts(prompts)[0]
        completions, logprobs = [], []
        for prompt in ids:
            sampled, scores = list(prompt), []
            for _ in range(5):
                with torch.no_grad():
                    logp = model(torch.tensor([sampled])).logits[0, -1].log_softmax(-1)
                sampled.append(int(torch.multinomial(logp.exp(), 1)))
                scores.append(float(logp[sampled[-1]]))
            completions.append(sampled[len(prompt) :])
            logprobs.append(scores)
        return {"prompt_ids": ids, "completion_ids": completions, "logprobs": logprobs}

    return rollout


def trainer(path, rollout, **changes):
    args = tiny.config(path, max_steps=6, learning_rate=5e-2, **changes)
    return tiny.mel_trainer(args, tiny.RowsFrom(tiny.some_rows), rollout_func=rollout)


def test_an_engine_with_current_weights_passes_every_check(tmp_path):
    run = trainer(tmp_path, engine(lambda t: t.model), mel_engine_check_every=1)
    run.train()
    found = [line["engine/logp_difference"] for line in run.state.log_history if "engine/logp_difference" in line]
    assert len(found) == 6
    assert max(found) < 1e-4


def stale():
    """Keeps the weights it began with: every later load is without effect."""
    first = tiny.model()
    return engine(lambda trainer: first)


def test_a_stale_engine_stops_the_run_at_the_first_check_on_new_weights(tmp_path):
    run = trainer(tmp_path, stale())
    with pytest.raises(StaleEngineError, match=r"nats per sampled token .* before optimizer step 2"):
        run.train()
    assert run.state.global_step == 1


def test_the_check_can_be_turned_off(tmp_path):
    run = trainer(tmp_path, stale(), mel_engine_check_every=0)
    run.train()
    assert run.state.global_step == 6


def test_generation_by_transformers_needs_no_check(tmp_path):
    run = tiny.mel_trainer(tiny.config(tmp_path, max_steps=1), tiny.RowsFrom(tiny.some_rows))
    run.train()
    assert not any("engine/logp_difference" in line for line in run.state.log_history)


def test_tokens_that_the_engine_could_not_score_and_padding_do_not_count():
    sampled = torch.tensor([[-1.0, float("nan"), -9.0]])
    own = torch.tensor([[-1.5, -2.0, -1.0]])
    assert logp_difference(sampled, own, torch.tensor([[True, True, False]])).item() == 0.5
    assert logp_difference(sampled, own, torch.zeros(1, 3, dtype=torch.bool)).item() == 0.0


@pytest.mark.parametrize("cut", [{"top_k": 20}, {"min_p": 0.1}, {"top_p": 0.9}, {"repetition_penalty": 1.1}])
def test_an_engine_that_cuts_the_distribution_is_not_compared(tmp_path, cut):
    assert is_comparable(tiny.config(tmp_path))
    assert not is_comparable(tiny.config(tmp_path, **cut))
