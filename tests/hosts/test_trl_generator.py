"""Generation through the trainer's own path: its limits while we ask, the trainer's own before and after."""

import random

import numpy as np
import pytest
import tiny
import torch
from trl import GRPOTrainer

from mel.hosts.trl.generator import TrainerGenerator, hugging_face_kwargs, sampling_as
from mel.objective.randomness import own_stream
from mel.prompts.chat import ChatTokenizer
from mel.requests import Generate
from mel.step import Accounting
from mel.types import Completion, Sampling

PROMPTS = [(3, 10, 11, 1, 4), (3, 12, 1, 4), (3, 30, 31, 32, 33, 1, 4)]


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    return tiny.trainer(GRPOTrainer, tiny.config(tmp_path_factory.mktemp("generator")))


@pytest.fixture
def generator(trainer):
    return TrainerGenerator(trainer, ChatTokenizer(tiny.tokenizer()))


def greedy_by_hand(model, prompt, max_tokens):
    ids = list(prompt)
    for _ in range(max_tokens):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] == 1:
            break
    return tuple(ids[len(prompt) :])


def test_temperature_zero_is_greedy_and_padding_changes_nothing(trainer, generator):
    found = generator.generate(PROMPTS, Sampling(max_tokens=9, temperature=0.0))
    assert [c.token_ids for c in found] == [greedy_by_hand(trainer.model, p, 9) for p in PROMPTS]


def test_a_completion_ends_with_end_of_sequence_or_is_truncated(generator):
    with own_stream("ends"):
        found = generator.generate(PROMPTS * 20, Sampling(max_tokens=12))
    assert {c.is_truncated for c in found} == {True, False}
    for completion in found:
        assert len(completion.token_ids) <= 12
        assert 1 not in completion.token_ids[:-1]
        assert (completion.token_ids[-1] == 1) is not completion.is_truncated
        assert "<end>" not in completion.text


def test_no_prompts_make_no_call(trainer, generator, monkeypatch):
    monkeypatch.setattr(trainer, "_generate_single_turn", None)
    assert generator.generate([], Sampling(max_tokens=3)) == []


def fail_while_sampling(trainer):
    with sampling_as(trainer, Sampling(max_tokens=2, temperature=0.3, top_p=0.5)):
        assert trainer.generation_config.max_new_tokens == 2
        assert trainer.generation_kwargs["temperature"] == 0.3
        assert trainer.generation_config.top_p == 0.5
        raise RuntimeError("the engine died")


def test_the_trainers_own_limits_are_back_afterwards_even_after_an_error(trainer):
    before = trainer.generation_config, trainer.generation_kwargs
    with pytest.raises(RuntimeError, match="the engine died"):
        fail_while_sampling(trainer)
    assert (trainer.generation_config, trainer.generation_kwargs) == before


def test_greedy_keywords_hold_no_sampling_parameter():
    base = {"max_new_tokens": 9, "do_sample": True, "temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": None}
    assert hugging_face_kwargs(base, Sampling(max_tokens=4, temperature=0.0)) == {
        "max_new_tokens": 4,
        "do_sample": False,
    }


class Engine:
    """The attributes of TRL's vLLM generation that it reads at every call."""

    def __init__(self):
        self.temperature = 1.0
        self.top_p = 0.9
        self.max_completion_length = 100
        self.generation_kwargs = {"max_tokens": 100, "stop": ["x"]}


class WithEngine:
    use_vllm = True
    vllm_generation = Engine()


def test_vllm_gets_our_limits_through_its_attributes():
    with sampling_as(WithEngine(), Sampling(max_tokens=5, temperature=0.0)):
        engine = WithEngine.vllm_generation
        assert (engine.temperature, engine.top_p, engine.max_completion_length) == (0.0, 1.0, 5)
        # Applied last by TRL, so a limit in there would win.
        assert engine.generation_kwargs == {"stop": ["x"]}
    assert (engine.temperature, engine.top_p, engine.max_completion_length) == (1.0, 0.9, 100)
    assert engine.generation_kwargs == {"max_tokens": 100, "stop": ["x"]}


def test_our_random_stream_leaves_the_trainers_untouched_and_repeats_itself():
    def draw():
        return random.random(), float(np.random.random()), float(torch.rand(()))

    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    expected = draw()
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    with own_stream(7, 0, 0):
        inside = draw()
    assert draw() == expected
    with own_stream(7, 0, 0):
        assert draw() == inside
    with own_stream(7, 0, 1):
        assert draw() != inside


def test_tokens_and_seconds_are_kept_by_phase():
    def requests():
        yield Generate(prompts=((1,),), sampling=Sampling(max_tokens=3), phase="construct")
        return "done"

    accounting = Accounting()
    watched = accounting.watch(requests())
    next(watched)
    with pytest.raises(StopIteration, match="done"):
        watched.send([Completion(token_ids=(5, 6, 1), text="x")])
    assert accounting.counts() == {"tokens/construct": 3.0, "tokens/rollout": 0.0}
    assert accounting.seconds["construct"] >= 0.0
