"""The generator over vLLM answers as the one over transformers does; `make test-vllm` has a vLLM to ask."""

import random
from collections import Counter
from importlib.util import find_spec

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from mel.hosts.load import load_model, load_tokenizer
from mel.hosts.local import LocalGenerator
from mel.hosts.offline_vllm import VllmGenerator, check_lengths
from mel.types import Sampling

IS_INSTALLED = find_spec("vllm") is not None
needs_vllm = pytest.mark.skipif(not IS_INSTALLED, reason="vLLM is not installed here: make test-vllm")
# vLLM 0.32 uses names that torch 2.13 renamed.
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("DeprecationWarning", "FutureWarning")]

GREEDY = Sampling(max_tokens=24, temperature=0.0)
CONTEXT = 128
STOPS = {1, 2}
TEXT = "There are nine apples and two pears; twice as many plums as pears. How many plums are there? Four plums. "


def tokenizer() -> PreTrainedTokenizerFast:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<pad>", "<end>", "<stop>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator([TEXT] * 4, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<end>")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A random model that must stop on two tokens, and whose own settings would leave no choice in sampling."""
    path = tmp_path_factory.mktemp("model")
    words = tokenizer()
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(words),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,  # the least that vLLM's attention on a CPU takes
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        eos_token_id=1,
        pad_token_id=0,
        bos_token_id=None,
        initializer_range=0.2,
    )
    model = Qwen3ForCausalLM(config)
    model.generation_config.update(eos_token_id=sorted(STOPS), do_sample=True, top_k=1, temperature=0.1)
    model.save_pretrained(path)
    words.save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def local(directory):
    return LocalGenerator(load_model(directory), load_tokenizer(directory))


@pytest.fixture(scope="module")
def served(directory):
    """One engine for the whole module: it takes seconds to start."""
    return VllmGenerator(directory, load_tokenizer(directory), seed=3)


@pytest.fixture(scope="module")
def prompts(local):
    ids = local.tokenizer.encode(TEXT, add_special_tokens=False)
    return [tuple(ids[start : start + length]) for start, length in ((0, 20), (3, 2), (7, 11), (1, 30), (9, 5))]


@pytest.mark.skipif(IS_INSTALLED, reason="vLLM is installed here")
def test_without_vllm_the_error_says_how_to_install_it(directory):
    with pytest.raises(ValueError, match=r"`pip install vllm` on a machine with a GPU, `make vllm` for one without"):
        VllmGenerator(directory, load_tokenizer(directory))


def test_what_does_not_fit_the_context_is_refused_with_the_numbers_and_advice():
    expected = r"prompt 2 of 2 has 7 tokens; with a completion of up to 4 that makes 11, .* takes 10\. Lower max_tokens"
    with pytest.raises(ValueError, match=expected):
        check_lengths([(5,) * 3, (5,) * 7], Sampling(max_tokens=4), 10)
    check_lengths([(5,) * 3, (5,) * 6], Sampling(max_tokens=4), 10)
    check_lengths([(5,) * 3, (5,) * 700], Sampling(max_tokens=4), None)


@needs_vllm
def test_a_prompt_too_long_for_the_model_is_refused_before_the_engine_starts(directory):
    fresh = VllmGenerator(directory, load_tokenizer(directory))
    with pytest.raises(ValueError, match=f"makes {CONTEXT + 1}, and the engine takes {CONTEXT}"):
        fresh.generate([(5,) * (CONTEXT - 23)], GREEDY)
    assert "_llm" not in vars(fresh)


@needs_vllm
def test_no_prompts_give_no_completions(served):
    assert served.generate([], GREEDY) == []


@needs_vllm
def test_greedy_completions_are_those_of_transformers_in_any_order(served, local, prompts):
    expected = local.generate(prompts, GREEDY)
    assert served.generate(prompts, GREEDY) == expected
    assert served.generate(prompts[::-1], GREEDY) == expected[::-1]
    assert len({c.token_ids for c in expected}) == len(prompts)


@needs_vllm
def test_a_completion_as_long_as_the_context_allows_is_served(served, local, prompts):
    sampling = Sampling(max_tokens=CONTEXT - len(prompts[0]), temperature=0.0)
    assert served.generate(prompts[:1], sampling) == local.generate(prompts[:1], sampling)


@needs_vllm
def test_a_completion_ends_with_a_stop_token_of_the_model_or_is_truncated(served, prompts):
    completions = served.generate(prompts * 60, Sampling(max_tokens=60, seed=0))
    assert {c.is_truncated for c in completions} == {True, False}
    assert {c.token_ids[-1] for c in completions if not c.is_truncated} == STOPS
    for c in completions:
        assert c.is_truncated == (c.token_ids[-1] not in STOPS)
        assert not STOPS & {*c.token_ids[:-1]}
        assert "<end>" not in c.text
        assert "<stop>" not in c.text
        assert len(c.token_ids) == 60 or not c.is_truncated


@needs_vllm
def test_the_same_seed_gives_the_same_samples_and_another_seed_others(served, prompts):
    one = served.generate(prompts, Sampling(max_tokens=12, seed=5))
    assert served.generate(prompts, Sampling(max_tokens=12, seed=5)) == one
    assert served.generate(prompts, Sampling(max_tokens=12, seed=6)) != one


@needs_vllm
def test_without_a_seed_the_next_call_draws_anew(served, prompts):
    first = served.generate(prompts, Sampling(max_tokens=12))
    assert served.generate(prompts, Sampling(max_tokens=12)) != first


@needs_vllm
def test_a_sample_does_not_depend_on_what_else_is_in_the_batch(served, prompts):
    sampling = Sampling(max_tokens=12, seed=5)
    assert served.generate(prompts, sampling)[:2] == served.generate(prompts[:2], sampling)


@needs_vllm
def test_samples_of_one_prompt_differ_and_follow_the_models_whole_distribution(served, local, prompts):
    # So many prompts do not fit one step of the engine, which would cut one of them in two if it were let.
    sampling = Sampling(max_tokens=1, temperature=0.7, seed=1)
    drawn = Counter(c.token_ids[0] for c in served.generate(prompts[:1] * 4000, sampling))
    with torch.no_grad():
        expected = (local.model(torch.tensor([prompts[0]])).logits[0, -1] / 0.7).softmax(-1)
    distance = sum(abs(drawn[i] / 4000 - p) for i, p in enumerate(expected.tolist())) / 2
    assert len(drawn) > 20
    # Total variation of 4000 exact draws: about 0.4 sqrt(words / 4000), under 0.1 for 200 likely words.
    assert distance < 0.1


@needs_vllm
def test_the_random_state_of_the_caller_is_left_alone(served, prompts):
    torch.manual_seed(0)
    random.seed(0)
    expected = torch.rand(1), random.random()
    torch.manual_seed(0)
    random.seed(0)
    served.generate(prompts, Sampling(max_tokens=3))
    assert (torch.rand(1), random.random()) == expected


@needs_vllm
def test_the_engine_is_named_with_its_version_and_precision(served):
    assert served.engine.startswith("vllm ")
    assert served.engine.endswith(", float32")
