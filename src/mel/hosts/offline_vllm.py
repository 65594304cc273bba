"""The generator port over vLLM's offline engine: a model on this machine's GPUs or its CPU.

For evaluation: the weights are read once, from the path. docs/engines.md says which versions were tried.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
import torch

from mel.hosts import installed_vllm
from mel.hosts.load import as_completion, context_length, load_generation_settings, stop_tokens
from mel.types import Completion, Sampling, TokenIds

ENVIRONMENT = {
    # The engine in this process schedules the same requests the same way each time; and a start takes 3 s, not 35.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    # CPU only: as many threads as OMP_NUM_THREADS says, instead of one bound to every core.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}
"""What vLLM reads from the environment, where the user has not set it."""

CPU_CACHE_BYTES = 2 * 2**30
"""Key-value cache on a CPU if nothing is asked for; vLLM itself would take 92 % of the memory."""


class VllmGenerator:
    """Samples from the model at a path; the engine starts with the first prompts that are given.

    Equal calls return equal completions: each request draws from its own seed, so its samples depend neither on
    what else is in the batch nor on the caller's random state (up to rounding, where batches are composed
    differently).

    Args:
        model_path: a model directory or a hub id.
        tokenizer: its Hugging Face tokenizer, for the end token and for decoding; vLLM loads none of its own.
        dtype: what the engine computes in: float32, bfloat16, ...
        max_model_len: most tokens of prompt and completion together; None for all the model is made for.
        seed: of all sampling that has no seed of its own; the next call draws anew, as `LocalGenerator` does.
        gpu_memory_utilization: share of each GPU's memory (of the machine's, on a CPU) that vLLM may take; None
            for vLLM's default, on a CPU for a cache of VLLM_CPU_KVCACHE_SPACE or else 2 GiB.
        tensor_parallel_size: GPUs that hold one copy of the model.

    Raises:
        ValueError: vLLM is not installed, or no such model.
    """

    def __init__(
        self,
        model_path: str,
        tokenizer: Any,
        *,
        dtype: str = "float32",
        max_model_len: int | None = None,
        seed: int = 0,
        gpu_memory_utilization: float | None = None,
        tensor_parallel_size: int = 1,
    ) -> None:
        self._version = installed_vllm()
        self._stops = stop_tokens(load_generation_settings(model_path), tokenizer)
        self._limit = max_model_len or context_length(model_path)
        self._path = model_path
        self._tokenizer = tokenizer
        self._dtype = dtype
        self._seed = seed
        self._calls = 0
        self._memory = gpu_memory_utilization
        self._parallel = tensor_parallel_size

    @property
    def engine(self) -> str:
        """What answers, for the record: `vllm 0.32.0+cpu, float32`."""
        return f"vllm {self._version}, {self._dtype}"

    def generate(self, prompts: Sequence[TokenIds], sampling: Sampling) -> list[Completion]:
        """One completion per prompt, in the order given.

        Raises:
            ValueError: a prompt that leaves no room for `sampling.max_tokens`.
        """
        self._calls += 1
        if not prompts:
            return []
        check_lengths(prompts, sampling, self._limit)
        asked = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
        with _random_state_kept():
            answers = self._llm.generate(asked, self._requests(len(prompts), sampling), use_tqdm=False)
        return [as_completion(a.outputs[0].token_ids, self._tokenizer, self._stops) for a in answers]

    def _requests(self, count: int, sampling: Sampling) -> list[Any]:
        own = self._seed * 1_000_003 + self._calls
        draws = random.Random(own if sampling.seed is None else sampling.seed)
        make = import_module("vllm").SamplingParams
        return [
            make(
                max_tokens=sampling.max_tokens,
                temperature=sampling.temperature,
                top_p=sampling.top_p if sampling.temperature > 0 else 1.0,
                top_k=0,
                seed=draws.getrandbits(63),
                # The model's own stop tokens and no other: vLLM's would be one token, the tokenizer's.
                stop_token_ids=list(self._stops),
                ignore_eos=True,
                detokenize=False,
            )
            for _ in range(count)
        ]

    @cached_property
    def _llm(self) -> Any:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        vllm, is_cpu = import_module("vllm"), import_module("vllm.platforms").current_platform.is_cpu()
        return vllm.LLM(
            model=self._path,
            dtype=self._dtype,
            max_model_len=self._limit,
            seed=self._seed,
            tensor_parallel_size=self._parallel,
            skip_tokenizer_init=True,
            # Else the model's generation_config.json would change the temperature, top_p and top_k asked for.
            generation_config="vllm",
            # A prompt read from the cache is computed in other pieces, and rounding may turn a sample.
            enable_prefix_caching=False,
            # A seeded request whose prompt is cut in two ends the engine on a CPU (0.32: no offset in its generator).
            enable_chunked_prefill=not is_cpu,
            # Compiling pays on a GPU; on a CPU it takes 20 s more for a model that is small.
            enforce_eager=is_cpu,
            use_tqdm_on_load=False,
            **self._memory_options(is_cpu),
        )

    def _memory_options(self, is_cpu: bool) -> dict[str, Any]:
        if self._memory is not None:
            return {"gpu_memory_utilization": self._memory}
        is_left_to_us = is_cpu and "VLLM_CPU_KVCACHE_SPACE" not in os.environ
        return {"kv_cache_memory_bytes": CPU_CACHE_BYTES} if is_left_to_us else {}


def check_lengths(prompts: Sequence[TokenIds], sampling: Sampling, limit: int | None) -> None:
    """Refuses what does not fit; vLLM would cut the completion short and call it truncated.

    Args:
        limit: most tokens of prompt and completion together; None for no limit.

    Raises:
        ValueError: with the numbers and what to change.
    """
    longest = max(range(len(prompts)), key=lambda i: len(prompts[i]))
    total = len(prompts[longest]) + sampling.max_tokens
    if limit is not None and total > limit:
        raise ValueError(
            f"prompt {longest + 1} of {len(prompts)} has {len(prompts[longest])} tokens; with a completion of up to "
            f"{sampling.max_tokens} that makes {total}, and the engine takes {limit}. Lower max_tokens, ask a shorter "
            "prompt, or raise max_model_len if the model can take more"
        )


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """The caller's random streams go on afterwards as if nothing had happened; vLLM seeds all three of a process."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
