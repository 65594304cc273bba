"""Rescaling the matrices is seen by the policy and leaves no trace. The probe behind vLLM itself: test_trl_vllm."""

import pytest
import tiny
import torch

from mel.hosts.trl import StaleEngineError
from mel.hosts.trl.engine_guard import EngineProbe, rescaled

IDS = torch.tensor([[5, 9, 20, 33]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_policy_is_another_one_inside_and_the_same_to_the_bit_outside(dtype):
    model = tiny.model().to(dtype).eval()
    before = {name: p.clone() for name, p in model.named_parameters()}
    with torch.no_grad():
        logp = model(IDS).logits.float().log_softmax(-1)
        with rescaled(model):
            inside = model(IDS).logits.float().log_softmax(-1)
            # Tied: once, not once as an embedding and once as a head.
            assert torch.equal(model.lm_head.weight, before["model.embed_tokens.weight"] / 2)
    assert (inside - logp).abs().mean() > 0.3
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_an_error_inside_leaves_no_rescaled_weights():
    model = tiny.model()
    before = model.model.layers[0].mlp.down_proj.weight.clone()
    with pytest.raises(KeyError), rescaled(model):
        raise KeyError
    assert torch.equal(model.model.layers[0].mlp.down_proj.weight, before)


def test_without_an_engine_that_is_given_weights_nothing_is_probed(tmp_path):
    trainer = tiny.mel_trainer(tiny.config(tmp_path), tiny.RowsFrom(tiny.some_rows))
    assert EngineProbe(trainer, is_wanted=True, tolerance=0.2)({}) == {}


class Engine:
    """Stands where TRL has vLLM: samples from the weights it loaded last, at its own temperature, and scores so."""

    top_p, max_completion_length, generation_kwargs = 1.0, 6, {}

    def __init__(self, trainer, *, is_stale):
        self.trainer, self.is_stale, self.temperature = trainer, is_stale, trainer.temperature
        self.model = tiny.model()

    def sync_weights(self):
        if not self.is_stale:
            self.model.load_state_dict(self.trainer.model.state_dict())

    def generate(self, prompts, images, num_generations, profiler):
        answers = [self.answer(prompt) for prompt in prompts]
        return None, [ids for ids, _ in answers], [[[score] for score in scores] for _, scores in answers], None

    def answer(self, prompt):
        ids, scores = list(prompt), []
        for _ in range(self.max_completion_length):
            with torch.no_grad():
                logp_V = (self.model(torch.tensor([ids])).logits[0, -1] / self.temperature).log_softmax(-1)
            ids.append(int(torch.multinomial(logp_V.exp(), 1)))
            scores.append(float(logp_V[ids[-1]]))
        return ids[len(prompt) :], scores


def probed(path, temperature, *, is_stale):
    trainer = tiny.mel_trainer(tiny.config(path, temperature=temperature), tiny.RowsFrom(tiny.some_rows))
    trainer.use_vllm, trainer.vllm_generation = True, Engine(trainer, is_stale=is_stale)
    probe = EngineProbe(trainer, is_wanted=True, tolerance=0.2)
    return probe({"prompt_ids": torch.arange(5, 25).view(4, 5), "prompt_mask": torch.ones(4, 5)})


@pytest.mark.parametrize("temperature", [0.3, 0.6, 1.0, 1.5])
def test_an_engine_that_takes_weights_passes_at_any_temperature(tmp_path, temperature):
    found = probed(tmp_path, temperature, is_stale=False)
    assert found["engine/probe_effect"] > 0.4
    assert found["engine/probe_difference"] < 1e-4


@pytest.mark.parametrize("temperature", [0.6, 1.0])
def test_an_engine_that_keeps_its_weights_is_refused(tmp_path, temperature):
    with pytest.raises(StaleEngineError, match="do not arrive"):
        probed(tmp_path, temperature, is_stale=True)
