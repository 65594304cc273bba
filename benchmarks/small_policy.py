"""A small Qwen3 with a byte-level BPE tokenizer, fitted to a few problems so that MEL has something to do on a CPU.

Random weights are never right: no group would be mixed, no experience written, no row trained. This policy has learned
by heart how a few problems are answered in numbered paragraphs, with and without a slip, how a slip is reported under
the math prompts' headings, and how a problem is answered with such a report at hand. **It exercises the machinery and
shows nothing about learning mathematics.** The same problems, settings and library versions give the same weights.
"""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from mel import prompts
from mel.hosts.load import quiet_libraries
from mel.miniature.warmup import output_loss
from mel.prompts import PromptSet
from mel.prompts.chat import ChatTokenizer
from mel.stages.experience import numbered
from mel.tasks.segmentation import prose_steps
from mel.types import Problem

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHATML = (resources.files("mel.prompts") / "templates" / "chatml.jinja").read_text(encoding="utf-8")
PLACES = ("first part", "second part", "total")
"""Where a solution can slip: its steps 2, 3 and 4."""

Item = tuple[str, str]
"""A user turn and the answer to learn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """Settings of the policy and of its supervised training.

    Args:
        words: vocabulary of the tokenizer.
        solving, constructing, replaying: sequences of each kind per step.
        right, right_with_note: share of right answers to learn, alone and with an experience at hand.
        located: share of experiences that name the step of the slip; the others name some step.
    """

    words: int = 3072
    width: int = 128
    layers: int = 4
    positions: int = 8192
    steps: int = 240
    solving: int = 16
    constructing: int = 2
    replaying: int = 4
    right: float = 0.5
    right_with_note: float = 0.8
    located: float = 0.8
    lr: float = 3e-3
    seed: int = 0


def build(directory: Path, problems: Sequence[Problem], texts: Sequence[str], settings: Fit) -> dict[str, float]:
    """Write the policy as an ordinary transformers directory; its parameters, and what the fit took and reached.

    Args:
        problems: those it learns; their golds are whole numbers.
        texts: what the tokenizer is trained on.
    """
    torch.set_num_threads(1)
    quiet_libraries()
    prompt_set = prompts.load("math")
    tokenizer = build_tokenizer([*texts, *_instructions(prompt_set) * 50], settings.words)
    model = build_model(tokenizer, settings)
    begin = time.perf_counter()
    loss = fit(model, ChatTokenizer(tokenizer, CHATML), problems, prompt_set, settings)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return {
        "parameters": model.num_parameters(),
        "words": len(tokenizer),
        "fit_s": time.perf_counter() - begin,
        "loss": loss,
    }


def build_tokenizer(texts: Sequence[str], words: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE with ChatML's special tokens and no chat template: the recipe names one, as for a base model."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=words,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[START],
        clean_up_tokenization_spaces=False,
    )


def build_model(tokenizer: PreTrainedTokenizerFast, settings: Fit) -> Qwen3ForCausalLM:
    """Random weights of Qwen3's shape; as Qwen's, its padding token also ends a completion."""
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=settings.width,
        intermediate_size=3 * settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=settings.positions,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    torch.manual_seed(settings.seed)
    model = Qwen3ForCausalLM(config)
    stops = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    model.generation_config = GenerationConfig(pad_token_id=tokenizer.pad_token_id, eos_token_id=stops)
    return model


def fit(
    model: Qwen3ForCausalLM,
    chat: ChatTokenizer,
    problems: Sequence[Problem],
    prompt_set: PromptSet,
    settings: Fit,
) -> float:
    """Train in place on answers only; the last step's mean loss (nats per token) over the three kinds."""
    rng = random.Random(settings.seed)
    kinds = ((solving, settings.solving), (constructing, settings.constructing), (replaying, settings.replaying))
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=0.01, betas=(0.9, 0.98))
    losses: list[float] = []
    model.train()
    for step in range(settings.steps):
        rate = min(1.0, (step + 1) / 20) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * step / settings.steps)))
        optimizer.param_groups[0]["lr"] = settings.lr * rate
        losses = []
        for make, count in kinds:
            chosen = [problems[(step * count + i) % len(problems)] for i in range(count)]
            loss = output_loss(model, [_encode(chat, make(p, prompt_set, rng, settings)) for p in chosen])
            loss.backward()
            losses.append(float(loss.item()))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    return sum(losses) / len(losses)


def solution(problem: Problem, slip: str | None = None) -> str:
    """An answer in five paragraphs; a slip at one of `PLACES` is carried on to the final answer."""
    gold = int(problem.answer)
    words = " ".join(re.findall(r"[A-Za-z]{3,}", problem.text)[:4])
    second = 1 + len(problem.text) % 9
    first = gold - second
    first, second = first + 2 * (slip == PLACES[0]), second + 3 * (slip == PLACES[1])
    total = first + second + (slip == PLACES[2])
    return (
        f"The problem begins: {words}.\n\nThe first part is {first}.\n\nThe second part is {second}.\n\n"
        f"The total is {first} + {second} = {total}.\n\nSo the answer is \\boxed{{{total}}}."
    )


def experience(slip: str, step: int) -> str:
    """A report in the four sections that the math prompts ask for."""
    return (
        f"## Failure point\nFirst wrong step: {step}\nThe {slip} is wrong: it was guessed and not counted.\n\n"
        f"## What worked\nThe other attempt counted the {slip} again.\n\n"
        f"## Reflection\nI hurry over the {slip}.\n\n"
        f"## Heuristics\nIf a quantity has parts, then count the {slip} twice."
    )


def solving(problem: Problem, prompt_set: PromptSet, rng: random.Random, settings: Fit) -> Item:
    """The solve prompt, answered right or with a slip."""
    slip = None if rng.random() < settings.right else rng.choice(PLACES)
    return prompt_set.solve(problem.text), solution(problem, slip)


def constructing(problem: Problem, prompt_set: PromptSet, rng: random.Random, settings: Fit) -> Item:
    """The construction prompt about a right and a slipped answer."""
    slip = rng.choice(PLACES)
    step = PLACES.index(slip) + 2 if rng.random() < settings.located else rng.randint(1, 5)
    label = prompt_set.sections.step_label
    right, wrong = (
        numbered(text, prose_steps(text), label=label) for text in (solution(problem), solution(problem, slip))
    )
    return prompt_set.construct(problem.text, right=right, wrong=wrong), experience(slip, step)


def replaying(problem: Problem, prompt_set: PromptSet, rng: random.Random, settings: Fit) -> Item:
    """The replay prompt, answered right more often than the problem alone."""
    note_slip = rng.choice(PLACES)
    slip = None if rng.random() < settings.right_with_note else rng.choice(PLACES)
    note = experience(note_slip, PLACES.index(note_slip) + 2)
    return prompt_set.replay(problem.text, note), solution(problem, slip)


def _encode(chat: ChatTokenizer, item: Item) -> tuple[list[int], int]:
    turn, output = item
    prompt = chat.chat([{"role": "user", "content": turn}])
    return [*prompt, *chat.encode(f"{output}{END}")], len(prompt)


def _instructions(prompt_set: PromptSet) -> list[str]:
    """The bare instructions: with them in its training texts a tokenizer spends few tokens on them."""
    return [prompt_set.solve(""), prompt_set.construct("", right="", wrong=""), prompt_set.replay("", experience="")]
