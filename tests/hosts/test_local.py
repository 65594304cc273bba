"""A model on this machine: what it generates, and the log-probabilities of what it is given."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from mel.hosts.local import LocalGenerator
from mel.hosts.local_scorer import LocalScorer
from mel.miniature.model import Size, build_model
from mel.miniature.tokenizer import build_tokenizer
from mel.ports import Generator
from mel.prompts.chat import ChatTokenizer
from mel.requests import Score
from mel.tasks.story_counts import StoryCounts
from mel.types import Sampling

GREEDY = Sampling(max_tokens=6, temperature=0.0)
SAMPLED = Sampling(max_tokens=6)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


@pytest.fixture(scope="module")
def model():
    return build_model(Size(width=32, layers=2, heads=2, head_dim=16), seed=0)


@pytest.fixture(scope="module")
def prompts(tokenizer):
    chat = ChatTokenizer(tokenizer)
    stories = [StoryCounts(length=n).problems("test", 1)[0].text for n in (8, 2, 5, 3)]
    return [chat.chat([{"role": "user", "content": text}]) for text in stories]


def test_no_prompts_give_no_completions(model, tokenizer):
    generator: Generator = LocalGenerator(model, tokenizer)
    assert generator.generate([], SAMPLED) == []


def test_greedy_completions_do_not_depend_on_neighbors_or_order(model, tokenizer, prompts):
    alone = [LocalGenerator(model, tokenizer).generate([p], GREEDY)[0] for p in prompts]
    together = LocalGenerator(model, tokenizer, batch_size=3).generate(prompts, GREEDY)
    assert together == alone


def test_greedy_completions_are_the_argmax_of_the_plain_forward_pass(model, tokenizer, prompts):
    completion = LocalGenerator(model, tokenizer).generate(prompts, GREEDY)[0]
    ids = list(prompts[0])
    for token in completion.token_ids:
        with torch.no_grad():
            assert token == model(torch.tensor([ids])).logits[0, -1].argmax().item()
        ids.append(token)


def test_the_same_seed_gives_the_same_samples_and_the_next_call_others(model, tokenizer, prompts):
    first, again = (LocalGenerator(model, tokenizer, seed=3) for _ in range(2))
    one = first.generate(prompts, SAMPLED)
    assert again.generate(prompts, SAMPLED) == one
    assert first.generate(prompts, SAMPLED) != one


def test_the_random_state_of_the_caller_is_left_alone(model, tokenizer, prompts):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    LocalGenerator(model, tokenizer).generate(prompts, SAMPLED)
    assert torch.rand(1) == expected


def test_a_completion_ends_with_its_stop_token_or_is_truncated(model, tokenizer, prompts):
    completions = LocalGenerator(model, tokenizer).generate(prompts * 40, Sampling(max_tokens=200))
    stop = tokenizer.eos_token_id
    assert {c.is_truncated for c in completions} == {True, False}
    for c in completions:
        assert c.is_truncated == (c.token_ids[-1] != stop)
        assert stop not in c.token_ids[:-1]
        assert "<" not in c.text
        assert len(c.token_ids) == 200 or not c.is_truncated


def test_all_of_the_distribution_is_sampled_from(model, tokenizer, prompts):
    # An untrained policy is nearly uniform over 189 words; a cut to the 50 likeliest would show at once.
    completions = LocalGenerator(model, tokenizer).generate(prompts[:1] * 600, Sampling(max_tokens=1))
    assert len({c.token_ids for c in completions}) > 100


def test_progress_is_told_after_every_chunk(model, tokenizer, prompts):
    told = []
    generator = LocalGenerator(model, tokenizer, batch_size=3, progress=lambda done, of: told.append((done, of)))
    generator.generate(prompts, GREEDY)
    assert told == [(3, 4), (4, 4)]


def test_a_directory_without_a_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected a model directory with config\.json"):
        LocalGenerator.from_directory(tmp_path)


def test_a_saved_model_generates_what_it_did_before(model, tokenizer, prompts, tmp_path):
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = LocalGenerator.from_directory(tmp_path, seed=1)
    assert loaded.generate(prompts, SAMPLED) == LocalGenerator(model, tokenizer, seed=1).generate(prompts, SAMPLED)


def test_scores_are_the_log_probabilities_of_the_plain_forward_pass_whatever_is_padded(model, prompts):
    contexts, targets = prompts[:3], (tuple(prompts[1][:4]), tuple(prompts[0][:2]), ())
    found = LocalScorer(model, pad_id=0, batch_size=2).score(Score(contexts=contexts, targets=targets))
    for context, target, logps in zip(contexts, targets, found, strict=True):
        ids = torch.tensor([[*context, *target]])
        with torch.no_grad():
            expected = model(ids).logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
        assert logps == pytest.approx(expected[len(context) - 1 :].tolist(), abs=1e-5)


def test_the_policy_before_training_is_not_known_here(model):
    with pytest.raises(ValueError, match="initial policy need a trainer that keeps it"):
        LocalScorer(model, pad_id=0).score(Score(contexts=(), targets=(), policy="initial"))
