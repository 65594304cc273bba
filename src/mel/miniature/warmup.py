"""The warm-up: supervised training of a fresh policy on the corpus, loss on the outputs only.

Axes: B sequences, T tokens, N trained tokens, D width.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from mel import prompts
from mel.miniature.corpus import Corpus, Item, Mixture
from mel.miniature.muon import Muon
from mel.prompts.chat import ChatTokenizer
from mel.tasks.small_world import SmallWorldTask, WorldKind
from mel.tasks.story_counts import STORIES

SHORT = (2, 3)
SOLVING = (3, 4, 5, 6, 7, 8)
COMPARING = (2, 3, 4, 5, 6, 8)
"""Lengths of the chains: short ones first, without which the policy does not learn to copy and count."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WarmUp:
    """Settings of the warm-up; the defaults are those of the shipped policies.

    Args:
        solving, comparing: sequences of each kind per step.
        curriculum: share of the steps that use short chains only.
        matrix_lr: learning rate of the hidden matrices (Muon); ``lr`` is for embeddings and norms (AdamW). It sets
            how large the matrices end up, and so how fast training moves them at a given learning rate: at
            0.003 they are 2.5 times larger, and need as much more in training for the same effect.
    """

    steps: int = 600
    solving: int = 40
    comparing: int = 16
    lr: float = 3e-3
    matrix_lr: float = 0.0012
    curriculum: float = 0.35
    seed: int = 0
    mixture: Mixture = field(default_factory=Mixture)


WARM_UPS: dict[str, WarmUp] = {
    "story_counts": WarmUp(),
    "rewriting": WarmUp(mixture=Mixture(misconceived=0.25, read_right=0.35)),
    "straight_line": WarmUp(mixture=Mixture(misconceived=0.25, read_right=0.35)),
}
"""Task -> the usual warm-up of its policies; the new kinds leave about half of the problems solved."""


def warm_up(
    model: Qwen3ForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    *,
    world: int,
    settings: WarmUp,
    kind: WorldKind[Any] = STORIES,
    progress: Callable[[int, dict[str, float]], None] | None = None,
) -> None:
    """Train ``model`` in place; ``progress`` gets the step and the smoothed losses."""
    chat = ChatTokenizer(tokenizer)
    corpus = Corpus(world, prompts.load(SmallWorldTask.prompt_set), settings.mixture, seed=settings.seed, kind=kind)
    lengths = random.Random(f"lengths {settings.seed}")
    optimizers = _optimizers(model, settings)
    losses: dict[str, float] = {}
    started = time.perf_counter()
    model.train()
    for step in range(settings.steps):
        _set_rates(optimizers, step / settings.steps, min(1.0, (step + 1) / 100))
        for name, make, count, spread in (
            ("solving", corpus.solving, settings.solving, SOLVING),
            ("comparing", corpus.comparison, settings.comparing, COMPARING),
        ):
            possible = [n for n in spread if n <= kind.max_length]
            length = lengths.choice(possible if step > settings.curriculum * settings.steps else SHORT)
            loss = output_loss(model, [_encode(chat, make(length)) for _ in range(count)])
            loss.backward()
            nll = float(loss.item())
            losses[name] = 0.95 * losses.get(name, nll) + 0.05 * nll
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if progress is not None:
            progress(step + 1, losses | {"seconds": time.perf_counter() - started})
    model.eval()


def output_loss(model: Qwen3ForCausalLM, sequences: Sequence[tuple[list[int], int]]) -> torch.Tensor:
    """Mean negative log-likelihood (nats) of the output tokens of (ids, length of the prompt) pairs."""
    longest = max(len(ids) for ids, _ in sequences)
    ids_BT = torch.zeros(len(sequences), longest, dtype=torch.long)
    is_output_BT = torch.zeros(len(sequences), longest, dtype=torch.bool)
    for i, (ids, start) in enumerate(sequences):
        ids_BT[i, : len(ids)] = torch.tensor(ids)
        is_output_BT[i, start : len(ids)] = True
    # Padding is on the right, where causal attention cannot see it: no mask is needed, and none is faster.
    hidden_BTD = model.model(input_ids=ids_BT[:, :-1], use_cache=False).last_hidden_state
    is_target_BT = is_output_BT[:, 1:]
    logits_NV = model.lm_head(hidden_BTD[is_target_BT])
    return torch.nn.functional.cross_entropy(logits_NV, ids_BT[:, 1:][is_target_BT])


def _encode(chat: ChatTokenizer, item: Item) -> tuple[list[int], int]:
    turn, output = item
    prompt = chat.chat([{"role": "user", "content": turn}])
    return [*prompt, *chat.encode(f"{output} <eos>")], len(prompt)


def _optimizers(model: Qwen3ForCausalLM, settings: WarmUp) -> list[torch.optim.Optimizer]:
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    adam = torch.optim.AdamW(others, lr=settings.lr, weight_decay=0.01, betas=(0.9, 0.98))
    muon = Muon(matrices, lr=settings.matrix_lr)
    for optimizer in (adam, muon):
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return [adam, muon]


def _set_rates(optimizers: Sequence[torch.optim.Optimizer], done: float, ramp: float) -> None:
    """Linear ramp, then a cosine down to 3 %; ``done`` is the share of the steps already made."""
    factor = ramp * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * done)))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor
