"""Rollout tokens per second of the TRL host's own generation path against the hand-written loop, same prompts."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.decode_loop import DecodeLoop, greedy_agreement, left_padded, sampled_tokens
from benchmarks.workload import WITHOUT, build_trainer
from mel import prompts, tasks
from mel.hosts.trl.generator import TrainerGenerator
from mel.prompts.chat import ChatTokenizer
from mel.types import Sampling

MAX_TOKENS = 44
ROLLOUTS = 8


def rollouts(dtype: str, *, sequences: int, batches: int) -> dict[str, Any]:
    """Tokens per second of both for that many batches, in turns.

    Args:
        dtype: of the weights, `float32` or `bfloat16`.
        sequences: rollouts decoded together, 8 per problem.

    Raises:
        RuntimeError: the two do not choose the same greedy tokens in float32, so they are not the same model.
    """
    with tempfile.TemporaryDirectory() as output:
        trainer: Any = build_trainer(WITHOUT, steps=1, output=output)
    model = trainer.model.to(getattr(torch, dtype)).eval()
    tokenizer = trainer.processing_class
    chat = ChatTokenizer(tokenizer)
    eos, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    asked = _prompts(chat, sequences // ROLLOUTS * (batches + 1))
    agreement = greedy_agreement(model, [list(p) for p in asked[:64]], max_new_tokens=MAX_TOKENS, eos=eos, pad=pad)
    if dtype == "float32" and agreement < 1.0:
        raise RuntimeError(f"greedy tokens agree at {agreement:.4f} of all positions only; the loop is not this model")
    host, loop = TrainerGenerator(trainer, chat), DecodeLoop(model)

    def by_host(batch: list[tuple[int, ...]]) -> int:
        answers = host.generate(batch, Sampling(max_tokens=MAX_TOKENS, temperature=1.0))
        return sum(len(a.token_ids) for a in answers)

    def by_loop(batch: list[tuple[int, ...]]) -> int:
        ids_BT, mask_BT = left_padded([list(p) for p in batch], pad)
        out_BT = loop.generate(ids_BT, mask_BT, max_new_tokens=MAX_TOKENS, eos=eos, pad=pad, temperature=1.0)
        return sampled_tokens(out_BT, eos)

    return {"dtype": dtype, "sequences": sequences, "greedy_agreement": agreement} | _rates(
        asked, sequences, batches, by_host, by_loop
    )


def _rates(
    asked: list[tuple[int, ...]],
    sequences: int,
    batches: int,
    by_host: Callable[[list[tuple[int, ...]]], int],
    by_loop: Callable[[list[tuple[int, ...]]], int],
) -> dict[str, float]:
    tokens, wall, cpu = {"host": 0, "loop": 0}, {"host": 0.0, "loop": 0.0}, {"host": 0.0, "loop": 0.0}
    each = sequences // ROLLOUTS
    for number in range(batches + 1):
        batch = [p for p in asked[number * each : (number + 1) * each] for _ in range(ROLLOUTS)]
        for name, decode in (("host", by_host), ("loop", by_loop)):
            wall_begin, cpu_begin = time.perf_counter(), time.process_time()
            count = decode(batch)
            if number:  # the first batch warms both up
                tokens[name] += count
                wall[name] += time.perf_counter() - wall_begin
                cpu[name] += time.process_time() - cpu_begin
    rates = {f"{name}_tokens_per_s": tokens[name] / wall[name] for name in tokens}
    rates |= {f"{name}_tokens_per_cpu_s": tokens[name] / cpu[name] for name in tokens}
    rates["ratio"] = rates["host_tokens_per_s"] / rates["loop_tokens_per_s"]
    rates["cpu_ratio"] = rates["host_tokens_per_cpu_s"] / rates["loop_tokens_per_cpu_s"]
    return rates


def _prompts(chat: ChatTokenizer, count: int) -> list[tuple[int, ...]]:
    task = tasks.load("story_counts", world=0, length=5)
    prompt_set = prompts.load(task.prompt_set)
    turns = (prompt_set.solve(problem.text) for problem in task.problems("train", count))
    return [chat.chat([{"role": "user", "content": turn}]) for turn in turns]
