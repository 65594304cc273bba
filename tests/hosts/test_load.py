"""Models as they lie on disk: whole ones, adapters, and what is refused."""

import pytest
import tiny
import torch
from peft import get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from mel.hosts.load import context_length, is_adapter, load_model, load_tokenizer, lora_config, merge_adapter

IDS = torch.tensor([[5, 9, 20, 33]])


@pytest.fixture
def base(tmp_path):
    folder = tmp_path / "base"
    tiny.model().save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def adapter(base, tmp_path):
    """An adapter whose weights are not zero, so that merging changes what the model says."""
    torch.manual_seed(1)
    adapted = get_peft_model(load_model(str(base)), lora_config({"r": 4, "target_modules": ["q_proj", "down_proj"]}))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    with torch.no_grad():
        logits = adapted.eval()(IDS).logits
    folder = tmp_path / "adapter"
    adapted.save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder, logits


def test_an_adapter_is_loaded_in_its_base(base, adapter):
    folder, logits = adapter
    with torch.no_grad():
        found = load_model(str(folder)).eval()(IDS).logits
        before = load_model(str(base)).eval()(IDS).logits
    assert torch.allclose(found, logits, atol=1e-5)
    assert not torch.allclose(before, logits, atol=0.1)


def test_a_merged_adapter_is_an_ordinary_model(adapter, tmp_path):
    folder, logits = adapter
    merged = merge_adapter(str(folder), tmp_path / "merged")
    assert not is_adapter(merged)
    with torch.no_grad():
        assert torch.allclose(AutoModelForCausalLM.from_pretrained(merged).eval()(IDS).logits, logits, atol=1e-5)
    assert AutoTokenizer.from_pretrained(merged).chat_template == tiny.TEMPLATE


def test_what_cannot_be_merged_is_refused(base, adapter, tmp_path):
    with pytest.raises(ValueError, match=r"expected a directory with adapter_config\.json \(peft\); .*base holds none"):
        merge_adapter(str(base), tmp_path / "merged")
    with pytest.raises(ValueError, match="expected an output that does not exist yet"):
        merge_adapter(str(adapter[0]), base)


def test_positions_of_an_adapter_are_those_of_its_base(base, adapter):
    assert context_length(str(base)) == context_length(str(adapter[0])) == 4096


def test_a_path_without_a_model_is_refused(tmp_path):
    for load in (load_model, load_tokenizer):
        with pytest.raises(ValueError, match=r"holds no config\.json"):
            load(str(tmp_path))


def test_a_model_that_is_not_in_reach_is_named_with_what_to_give_instead(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for load in (load_tokenizer, load_model, context_length):
        with pytest.raises(
            ValueError, match=r"could not load 'nobody/nothing' as a hub id .* Give a directory of this"
        ):
            load("nobody/nothing")
