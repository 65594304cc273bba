"""The warm-up for tales, on a tiny model of random weights made here."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from mel import prompts
from mel.miniature.tales_corpus import Item, Mixture, TalesCorpus
from mel.miniature.tales_warmup import TalesWarmUp, warm_up
from mel.prompts.chat import ChatTokenizer
from mel.stages.experience import parse_experience
from mel.tasks.tales import Tales
from mel.tasks.tales.note import experience_of
from mel.tasks.tales.story import Event
from mel.tasks.tales.verbs import MEANING_OF
from mel.types import Completion, MetaExperience, Problem

CHATML = (Path(prompts.__file__).parent / "templates" / "chatml.jinja").read_text()


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    words.decoder = decoders.ByteLevel()
    special = ["<|im_start|>", "<|im_end|>"]
    texts = [p.text for p in Tales().problems("train", 200)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    words.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="<|im_end|>", pad_token="<|im_end|>", chat_template=CHATML
    )


@pytest.fixture
def model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def items(tokenizer: PreTrainedTokenizerFast, count: int, seed: int = 0, **mixture: float) -> list[Item]:
    corpus = TalesCorpus(
        ChatTokenizer(tokenizer),
        prompts.load("tales"),
        end=(tokenizer.eos_token_id,),
        seed=seed,
        mixture=Mixture(**mixture),
    )
    return list(islice(corpus.items(), count))


def test_the_mixture_is_kept_and_the_seed_decides(tokenizer) -> None:
    found = items(tokenizer, 400)
    kinds = Counter(item.kind for item in found)
    assert kinds["solve"] / 400 == pytest.approx(0.3, abs=0.07)
    assert kinds["compare"] / 400 == pytest.approx(0.35, abs=0.07)
    # A replay from before the first step is one from the start.
    assert 0.1 < kinds["continue"] / 400 < 0.35 * 0.7
    assert found == items(tokenizer, 400)
    assert found != items(tokenizer, 400, seed=1)


def test_an_item_reads_as_its_whole_would_be_tokenized(tokenizer) -> None:
    for item in items(tokenizer, 60):
        whole = tokenizer.decode(item.prompt_ids + item.target_ids)
        assert tuple(tokenizer.encode(whole, add_special_tokens=False)) == item.prompt_ids + item.target_ids
        assert item.target_ids[-1] == tokenizer.eos_token_id


def test_solving_teaches_taught_verbs_only_and_gets_them_right(tokenizer) -> None:
    task, chat = Tales(), ChatTokenizer(tokenizer)
    taught = {verb for verbs in task.parts["taught"].values() for verb in verbs}
    for item in items(tokenizer, 60, solving=1.0):
        text = chat.decode(item.prompt_ids)
        solution = chat.decode(item.target_ids)
        held = [verb for verb in MEANING_OF if f" {verb} " in text.replace(".", " .") and verb not in taught]
        # "gets" is part of no other verb here, while "gets back" would be found as "gets".
        assert all(any(verb in longer for longer in taught if f" {longer} " in text) for verb in held)
        assert len(task.steps(solution)) in (2, 3, 4)
        assert "####" in solution


def test_what_a_comparison_teaches_is_what_the_method_parses(tokenizer) -> None:
    sections, chat = prompts.load("tales").sections, ChatTokenizer(tokenizer)
    for item in items(tokenizer, 60, solving=0.0, comparing=1.0):
        completion = Completion(token_ids=item.target_ids, text=chat.decode(item.target_ids))
        parsed = parse_experience(completion, sections, steps=range(1, 5))
        assert isinstance(parsed, MetaExperience)
        assert parsed.text == completion.text
        assert f"- Step {parsed.bifurcation}: " in chat.decode(item.prompt_ids)


def test_a_practiced_verb_is_shown_in_every_meaning_beside_a_note(tokenizer) -> None:
    # Were it mostly its own, the warm-up would give away what training is to find out.
    right = wrong = 0
    claims = {"more": "grows", "fewer": "gets smaller", "same": "stays the same"}
    taught = {verb for verbs in Tales().parts["taught"].values() for verb in verbs}
    others = [verb for verb in MEANING_OF if verb not in taught]
    for item in items(tokenizer, 300, solving=0.0, comparing=0.0, irrelevant=0.0, contradicting=0.0):
        text = ChatTokenizer(tokenizer).decode(item.prompt_ids)
        rule = text.split("If someone ")[1].split("\n")[0]
        verb = next(v for v in sorted(others, key=len, reverse=True) if rule.startswith(f"{v} things"))
        is_own = claims[MEANING_OF[verb]] in rule
        right, wrong = right + is_own, wrong + (not is_own)
    # A third of the meanings drawn are the verb's own: 100 of 300, standard deviation 8.
    assert 70 < right < 130


def test_a_miscount_and_a_misreading_are_told_apart() -> None:
    event = Event(verb="counts", meaning="same", amount=3, phrase="counts 3 of them")
    misread = experience_of(2, event, bad="more", good="same")
    assert misread.critique == 'First wrong step: 2. It takes "counts 3 of them" for a gain.'
    assert misread.heuristic == "If someone counts things, then the number stays the same."
    assert experience_of(1, event, bad=None, good="same").critique == "First wrong step: 1. It counts wrongly."


def test_the_warm_up_lowers_the_loss_and_repeats_exactly(model, tokenizer) -> None:
    losses: list[float] = []
    settings = TalesWarmUp(steps=20, lr=1e-2, bf16=False)
    before = {name: p.clone() for name, p in model.named_parameters()}
    warm_up(model, tokenizer, settings=settings, device="cpu", progress=lambda _, loss: losses.append(loss))
    assert losses[-1] < 0.8 * losses[0]
    after = {name: p.clone() for name, p in model.named_parameters()}
    model.load_state_dict(before, strict=False)
    warm_up(model, tokenizer, settings=settings, device="cpu")
    assert all(torch.equal(p, after[name]) for name, p in model.named_parameters())


def test_the_task_writes_a_true_note_about_a_wrong_step_and_a_false_one() -> None:
    task = Tales()
    problem = Problem(id="p", text="", answer="5", metadata={"counts": [5, 5], "verbs": ["buys", "counts"]})
    wrong = "Step 1: buys 3 more, 2 + 3 = 5\nStep 2: counts 2 of them, 5 + 2 = 7\n#### 7"
    true, false = task.note(problem, wrong), task.note(problem, wrong, is_true=False)
    assert true is not None
    assert false is not None
    assert true.critique == 'First wrong step: 2. It takes "counts 2 of them" for a gain.'
    assert true.heuristic == "If someone counts things, then the number stays the same."
    assert (true.bifurcation, false.bifurcation) == (2, 2)
    assert task.is_true_rule(problem, true.heuristic) is True
    assert task.is_true_rule(problem, false.heuristic) is False
    assert task.note(problem, "Step 1: buys 3 more, 2 + 3 = 5\nStep 2: counts 2, still 5\n#### 5") is None
