"""One story-counts problem with attempts written by hand, real tokenizers, and ports that give canned answers.

start 50 1) finds 3 2) sorts 2 3) loses 5      finds adds, sorts leaves alone, loses takes: 53, 53, 48
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from mel import prompts
from mel.miniature.tokenizer import build_tokenizer
from mel.prompts.chat import ChatTokenizer
from mel.tasks.story_counts import StoryCounts
from mel.types import (
    Attempt,
    Candidate,
    Completion,
    Group,
    MetaExperience,
    Pair,
    Problem,
    Replayed,
    Rollout,
    Sampling,
    TokenIds,
    Verdict,
)

TASK = StoryCounts()
PROMPTS = prompts.load("story_counts")
PROBLEM = Problem(id="p", text="start 50 1) finds 3 2) sorts 2 3) loses 5", answer="48")
OTHER = Problem(id="q", text="start 40 1) buys 1 2) eats 2", answer="39")

RIGHT = "1) finds plus 3 = 53 2) sorts same 2 = 53 3) loses minus 5 = 48 answer 48"
WRONG_AT_1 = "1) finds minus 3 = 47 2) sorts same 2 = 47 3) loses minus 5 = 42 answer 42"
WRONG_AT_2 = "1) finds plus 3 = 53 2) sorts minus 2 = 51 3) loses minus 5 = 46 answer 46"
WRONG_AT_3 = "1) finds plus 3 = 53 2) sorts same 2 = 53 3) loses same 5 = 53 answer 53"
WRONG_ANSWER_ONLY = "1) finds plus 3 = 53 2) sorts same 2 = 53 3) loses minus 5 = 48 answer 47"
NO_STEPS = "answer 12"

WALK = "1) plus plus 2) same minus !"
M_AT_2 = "at 2) sorts not minus ; rule sorts means same"
ANALYSIS = f"{WALK} {M_AT_2}"
CONTINUED = "2) sorts same 2 = 53 3) loses minus 5 = 48 answer 48"

TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}> {{ m.content }} {% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@cache
def words() -> ChatTokenizer:
    """The miniature's tokenizer: one token a word."""
    return ChatTokenizer(build_tokenizer())


@cache
def bytes_bpe() -> ChatTokenizer:
    """Byte-level BPE as Qwen's: a word's space is in front of it, digits and signs merge as they come."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([RIGHT, WRONG_AT_1, WRONG_AT_2, ANALYSIS] * 5, trainer)
    return ChatTokenizer(PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", chat_template=TEMPLATE))


@cache
def sentencepiece() -> ChatTokenizer:
    """Llama's kind: `▁` for a space, a token per byte for characters outside the vocabulary."""
    letters = sorted({*"▁=)", *"0123456789", *"abcdefghijklmnopqrstuvwxyz"})
    merges = [("▁", "="), ("2", ")"), ("▁", "2)"), ("▁", "p"), ("▁p", "l"), ("5", "3"), ("53", "▁2)")]
    pieces = ["<unk>", "<eos>", *(f"<0x{b:02X}>" for b in range(256)), *letters, *(a + b for a, b in merges)]
    model = models.BPE(vocab={p: i for i, p in enumerate(pieces)}, merges=merges, unk_token="<unk>", byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return ChatTokenizer(
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<eos>", chat_template=TEMPLATE
        )
    )


def ids(text: str, tokenizer: ChatTokenizer | None = None) -> TokenIds:
    return (tokenizer or words()).encode(text)


def ended(text: str, tokenizer: ChatTokenizer | None = None) -> TokenIds:
    """Tokens of a completion that ended by itself."""
    return ids(f"{text} <eos>" if tokenizer is None else f"{text}<eos>", tokenizer)


def completion(text: str, *, cut: bool = False, tokenizer: ChatTokenizer | None = None) -> Completion:
    token_ids = ids(text, tokenizer) if cut else ended(text, tokenizer)
    return Completion(token_ids=token_ids, text=text, is_truncated=cut)


def rollout(text: str, *, cut: bool = False, tokenizer: ChatTokenizer | None = None) -> Rollout:
    verdict = TASK.verify([PROBLEM], [text])[0]
    token_ids = ids(text, tokenizer) if cut else ended(text, tokenizer)
    return Rollout(token_ids=token_ids, text=text, verdict=verdict, reward=float(verdict.is_correct), is_truncated=cut)


def group(*texts: str, tokenizer: ChatTokenizer | None = None, problem: Problem = PROBLEM) -> Group:
    chat = tokenizer or words()
    return Group(
        problem=problem,
        prompt_ids=chat.chat([{"role": "user", "content": problem.text}]),
        rollouts=tuple(rollout(t, tokenizer=tokenizer) for t in texts),
    )


def pair(wrong: str = WRONG_AT_2, *, tokenizer: ChatTokenizer | None = None, problem: Problem = PROBLEM) -> Pair:
    both = group(RIGHT, wrong, tokenizer=tokenizer, problem=problem)
    right_rollout, wrong_rollout = both.rollouts
    return Pair(
        group=both,
        right=right_rollout,
        wrong=wrong_rollout,
        wrong_index=1,
        right_steps=TASK.steps(RIGHT),
        wrong_steps=TASK.steps(wrong),
    )


def experience(
    step: int = 2, *, text: str = M_AT_2, critique: str = "2) sorts not minus ;", heuristic: str = "sorts means same"
) -> MetaExperience:
    lesson = text.partition(") ")[2]
    return MetaExperience(bifurcation=step, critique=critique, heuristic=heuristic, text=text, lesson=lesson)


def candidate(
    of: Pair | None = None,
    *,
    step: int = 2,
    tokenizer: ChatTokenizer | None = None,
    analysis: str = ANALYSIS,
    m: MetaExperience | None = None,
) -> Candidate:
    return Candidate(
        pair=of or pair(tokenizer=tokenizer),
        context_ids=ids("start 50", tokenizer),
        completion=completion(analysis, tokenizer=tokenizer),
        experience=m or experience(step),
    )


def verdicts(*right: bool) -> list[Verdict]:
    return [Verdict(is_correct=r, reason="right" if r else "wrong") for r in right]


def replayed(
    of: Candidate,
    *continuations: str,
    prefix: TokenIds = (),
    is_kept: bool = True,
    tokenizer: ChatTokenizer | None = None,
) -> Replayed:
    """A candidate with attempts whose verdicts are the task's own."""
    chat = tokenizer or words()
    done = [completion(c, tokenizer=tokenizer) for c in continuations]
    responses = [chat.decode(prefix + c.token_ids) for c in done]
    attempts = tuple(
        Attempt(completion=c, response=r, verdict=v)
        for c, r, v in zip(done, responses, TASK.verify([PROBLEM] * len(done), responses), strict=True)
    )
    return Replayed(
        candidate=of,
        prefix_ids=prefix,
        attempts=attempts,
        is_kept=is_kept,
        reason="kept" if is_kept else "failed_replay",
    )


@dataclass
class Canned:
    """A generator that answers each call with the next list of texts; None stands for a truncated `1) finds`."""

    calls: list[list[str | None]]
    asked: list[tuple[tuple[TokenIds, ...], Sampling]] = field(default_factory=list)

    def generate(self, prompts: Sequence[TokenIds], sampling: Sampling) -> list[Completion]:
        texts = self.calls[len(self.asked)]
        self.asked.append((tuple(prompts), sampling))
        return [completion("1) finds", cut=True) if t is None else completion(t) for t in texts]


def rejected_item() -> Replayed:
    """A candidate that stated no experience and was never replayed."""
    failed = Candidate(
        pair=pair(), context_ids=ids("start 50"), completion=completion(""), experience=None, failure="no_bifurcation"
    )
    return Replayed(candidate=failed, prefix_ids=(), attempts=(), is_kept=False, reason="no_bifurcation")
