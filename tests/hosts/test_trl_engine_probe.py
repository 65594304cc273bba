"""Rescaling the matrices is seen by the policy and leaves no trace. The probe itself needs vLLM: test_trl_vllm."""

import pytest
import tiny
import torch

from mel.hosts.trl.engine_probe import EngineProbe, rescaled

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
