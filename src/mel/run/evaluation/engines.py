"""What answers in `mel eval`: transformers on this machine, or vLLM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mel.hosts import installed_vllm
from mel.model_path import is_adapter
from mel.ports import Generator, Scorer

ENGINES = ("transformers", "vllm")
DTYPES = ("auto", "float32", "bfloat16")

VLLM_BATCH_SIZE = 1024
"""Responses per call where the user names none: vLLM batches by itself and idles at the end of every call."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """A model ready to answer.

    Args:
        name: the engine and its arithmetic, in words; responses of two of them are not mixed.
        scorer: log-probabilities under the same model; None where the engine gives none.
    """

    name: str
    generator: Generator
    scorer: Scorer | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineChoice:
    """Which engine, and what it may take.

    Args:
        dtype: of weights and arithmetic; `auto`: bfloat16 on a GPU, float32 on a CPU.
        batch_size: responses per engine call, on disk when the next begins; None for what suits the engine.
        tensor_parallel: GPUs that share one model (vLLM).
        gpu_memory: share of each GPU that vLLM may take, 0 to 1; None for its own default.
    """

    engine: str = "transformers"
    dtype: str = "auto"
    batch_size: int | None = None
    tensor_parallel: int = 1
    gpu_memory: float | None = None

    def __post_init__(self) -> None:
        for option, value, allowed in (("--engine", self.engine, ENGINES), ("--dtype", self.dtype, DTYPES)):
            if value not in allowed:
                raise ValueError(f"{option}: expected one of {', '.join(allowed)}; got {value!r}")
        if self.engine != "vllm" and self.tensor_parallel != 1:
            raise ValueError("--tensor-parallel spreads a model of vLLM; give --engine vllm too")
        if self.engine != "vllm" and self.gpu_memory is not None:
            raise ValueError("--gpu-memory is vLLM's share of each GPU; give --engine vllm too")
        if self.gpu_memory is not None and not 0.0 < self.gpu_memory <= 1.0:
            raise ValueError(f"--gpu-memory: expected a share above 0 and at most 1, got {self.gpu_memory:g}")

    def check_installed(self) -> None:
        """Refuses an engine that is not here before data and weights are read.

        Raises:
            ValueError: vLLM is asked for and not installed.
        """
        if self.engine == "vllm":
            installed_vllm()

    def responses_per_call(self, recipe_says: int) -> int:
        """As asked for, else what suits the engine: the recipe's number is what transformers decodes together."""
        return self.batch_size or (VLLM_BATCH_SIZE if self.engine == "vllm" else recipe_says)


def open_engine(
    choice: EngineChoice,
    model_path: str,
    tokenizer: Any,
    *,
    batch_size: int,
    longest: int,
    attention: str | None = None,
) -> Engine:
    """The model ready to answer.

    Args:
        tokenizer: the model's own, as Hugging Face has it.
        attention: how transformers computes it; None for its own choice.
        longest: tokens of the longest prompt with its response.

    Raises:
        ValueError: no such model, or the engine is not installed or does not take it.
    """
    from mel.hosts.load import device, load_model

    where = device()
    dtype = choice.dtype if choice.dtype != "auto" else "float32" if where == "cpu" else "bfloat16"
    name = f"{choice.engine} {dtype}"
    if choice.engine == "vllm":
        if is_adapter(model_path):
            raise ValueError(
                f"{model_path} is a LoRA adapter, and the engine vllm takes whole models: merge it first, "
                f"mel merge {model_path} --output DIR, or use --engine transformers"
            )
        from mel.hosts.offline_vllm import VllmGenerator

        generator = VllmGenerator(
            model_path,
            tokenizer,
            dtype=dtype,
            max_model_len=longest,
            tensor_parallel_size=choice.tensor_parallel,
            gpu_memory_utilization=choice.gpu_memory,
        )
        return Engine(name=name, generator=generator)
    from mel.hosts.local import LocalGenerator
    from mel.hosts.local_scorer import LocalScorer

    model = load_model(model_path, dtype=dtype, attention=attention).to(where)
    generator = LocalGenerator(model, tokenizer, batch_size=batch_size)
    scorer = LocalScorer(model, pad_id=tokenizer.pad_token_id, batch_size=batch_size)
    return Engine(name=name, generator=generator, scorer=scorer)
