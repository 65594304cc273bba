"""What answers in `mel eval`: transformers on this machine, or vLLM."""

from __future__ import annotations

from dataclasses import dataclass

from mel.ports import Generator
from mel.prepared import Prepared

ENGINES = ("transformers", "vllm")
DTYPES = ("auto", "float32", "bfloat16")

VLLM_BATCH_SIZE = 1024
"""Responses per call where the user names none: vLLM batches by itself and idles at the end of every call."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """A model ready to answer.

    Args:
        name: the engine and its arithmetic, in words; responses of two of them are not mixed.
    """

    name: str
    generator: Generator


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

    def responses_per_call(self, recipe_says: int) -> int:
        """As asked for, else what suits the engine: the recipe's number is what transformers decodes together."""
        return self.batch_size or (VLLM_BATCH_SIZE if self.engine == "vllm" else recipe_says)


def open_engine(choice: EngineChoice, prepared: Prepared, *, batch_size: int, longest: int) -> Engine:
    """The model ready to answer.

    Args:
        longest: tokens of the longest prompt with its response.

    Raises:
        ValueError: no such model, or the engine is not installed or does not take it.
    """
    from mel.hosts.load import device, is_adapter, load_model

    where = device()
    dtype = choice.dtype if choice.dtype != "auto" else "float32" if where == "cpu" else "bfloat16"
    name = f"{choice.engine} {dtype}"
    if choice.engine == "vllm":
        if is_adapter(prepared.model_path):
            raise ValueError(
                f"{prepared.model_path} is a LoRA adapter, and the engine vllm takes whole models: merge it first, "
                f"mel merge {prepared.model_path} --output DIR, or use --engine transformers"
            )
        from mel.hosts.offline_vllm import VllmGenerator

        generator = VllmGenerator(
            prepared.model_path,
            prepared.tokenizer,
            dtype=dtype,
            max_model_len=longest,
            tensor_parallel_size=choice.tensor_parallel,
            gpu_memory_utilization=choice.gpu_memory,
        )
        return Engine(name=name, generator=generator)
    from mel.hosts.local import LocalGenerator

    model = load_model(prepared.model_path, dtype=dtype, attention=prepared.recipe.model.attention).to(where)
    return Engine(name=name, generator=LocalGenerator(model, prepared.tokenizer, batch_size=batch_size))
