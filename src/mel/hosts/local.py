"""The generator port over `transformers.generate`: a model directory on this machine, no trainer and no server.

Axes: B prompts of a chunk, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from mel.hosts.load import as_completion, stop_tokens
from mel.types import Completion, Sampling, TokenIds

Progress = Callable[[int, int], None]
"""Called with the number of prompts that are done and the number of all."""


class LocalGenerator:
    """Samples from one model, the same completions for the same seed and the same order of calls.

    Args:
        model: a causal language model on whatever device it is to run on; put into evaluation mode.
        tokenizer: its Hugging Face tokenizer, for the padding and end tokens and for decoding.
        batch_size: prompts decoded together; they are grouped by length, so a chunk holds little padding.
        seed: of all sampling whose call names none; torch's own random state is left as it was.
        progress: called after every chunk.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        batch_size: int = 256,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1 prompt; got {batch_size}")
        self.model = model.eval()
        self.tokenizer = tokenizer
        self._batch_size = batch_size
        self._seed = seed
        self._calls = 0
        self._progress = progress
        self._stops = stop_tokens(getattr(model, "generation_config", None), tokenizer)
        self._pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self._stops[0]

    @classmethod
    def from_directory(cls, directory: str | Path, *, device: str = "cpu", **options: Any) -> LocalGenerator:
        """The generator over a saved model and its tokenizer; ``options`` as for the class.

        Raises:
            ValueError: the directory holds no model.
        """
        if not (Path(directory) / "config.json").is_file():
            raise ValueError(f"expected a model directory with config.json; {directory} is none")
        model: Any = AutoModelForCausalLM.from_pretrained(directory)
        return cls(model.to(device), AutoTokenizer.from_pretrained(directory), **options)

    @property
    def arithmetic(self) -> str:
        """What it computes in here and now: `float32`, or `float32 under bfloat16 autocast`."""
        weights, kind = str(self.model.dtype).removeprefix("torch."), self.model.device.type
        if not torch.is_autocast_enabled(kind):
            return weights
        return f"{weights} under {str(torch.get_autocast_dtype(kind)).removeprefix('torch.')} autocast"

    def generate(self, prompts: Sequence[TokenIds], sampling: Sampling) -> list[Completion]:
        """One completion per prompt, in the order given."""
        self._calls += 1
        by_length = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        found: list[Completion | None] = [None] * len(prompts)
        seed = self._seed * 1_000_003 + self._calls if sampling.seed is None else sampling.seed
        with _seeded(seed, self.model.device), torch.no_grad():
            for start in range(0, len(by_length), self._batch_size):
                chunk = by_length[start : start + self._batch_size]
                for i, completion in zip(chunk, self._decode([prompts[i] for i in chunk], sampling), strict=True):
                    found[i] = completion
                if self._progress is not None:
                    self._progress(start + len(chunk), len(prompts))
        return [completion for completion in found if completion is not None]

    def _decode(self, prompts: Sequence[TokenIds], sampling: Sampling) -> list[Completion]:
        ids = [torch.tensor(prompt) for prompt in prompts]
        ids_BT = pad_sequence(ids, batch_first=True, padding_value=self._pad, padding_side="left")
        mask_BT = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True, padding_side="left")
        output_BT = self.model.generate(
            input_ids=ids_BT.to(self.model.device),
            attention_mask=mask_BT.to(self.model.device),
            generation_config=self._config(sampling),
        )
        rows = [self._until_stop(row) for row in output_BT[:, ids_BT.size(1) :].tolist()]
        return [as_completion(row, self.tokenizer, self._stops) for row in rows]

    def _config(self, sampling: Sampling) -> GenerationConfig:
        is_sampled = sampling.temperature > 0
        # transformers' defaults would cut the distribution to the 50 likeliest tokens.
        shape = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0} if is_sampled else {}
        return GenerationConfig(
            max_new_tokens=sampling.max_tokens,
            do_sample=is_sampled,
            eos_token_id=list(self._stops),
            pad_token_id=self._pad,
            **shape,
        )

    def _until_stop(self, row: list[int]) -> list[int]:
        end = next((i for i, token in enumerate(row) if token in self._stops), None)
        return row if end is None else row[: end + 1]


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Torch's random state, set to a seed inside and put back after."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
