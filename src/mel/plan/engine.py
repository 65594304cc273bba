"""Bytes of generation: the key-value cache, vLLM's share of a GPU, transformers' own generation."""

from __future__ import annotations

from dataclasses import dataclass

from mel.plan.numbers import GIB
from mel.plan.shapes import ModelShape

VLLM_OVERHEAD = 1.5 * GIB
"""An allowance for CUDA graphs, NCCL and the largest prefill (4096 tokens under TRL); not measured here."""

SLEEPING = 1.0 * GIB
"""An allowance for what a sleeping engine still holds: CUDA graphs and the allocator's remains."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """What generation holds on a training GPU.

    Args:
        kind: `transformers`, `colocate`, `server`.
        generating: bytes while it generates.
        training: bytes while the model trains.
        cache_tokens: tokens whose keys and values fit at once.
    """

    kind: str
    generating: float
    training: float
    cache_tokens: int


def kv_bytes(shape: ModelShape, *, element: int = 2) -> int:
    """Keys and values of one token over all layers."""
    return 2 * shape.layers * shape.kv_width * element


def transformers_engine(shape: ModelShape, *, rows: int, tokens: int, element: int) -> Engine:
    """A cache for the whole generation batch, grown by one copy of one layer, and float32 scores over the vocabulary.

    Args:
        rows: sequences that are generated at once.
        tokens: longest prompt and completion together.
        element: bytes of a key's element.
    """
    cache = rows * tokens * kv_bytes(shape, element=element)
    scores = 4 * rows * shape.vocab_size * 4
    return Engine(
        kind="transformers",
        generating=cache * (1 + 1 / shape.layers) + scores,
        training=0.0,
        cache_tokens=rows * tokens,
    )


def vllm_engine(
    shape: ModelShape, *, memory: float, utilization: float, tensor_parallel: int, sequences: int, sleeps: bool
) -> Engine:
    """vLLM beside the trainer: a fixed share of the GPU, of which weights and overhead leave the rest to the cache.

    Args:
        memory: bytes of one GPU.
        sequences: most sequences at once, as TRL sets it; the sampler holds three float32 copies of their scores.

    Raises:
        ValueError: the share does not hold the weights, with the least share that does.
    """
    share = utilization * memory
    fixed = 2 * shape.parameters / tensor_parallel + VLLM_OVERHEAD + 3 * 4 * sequences * shape.vocab_size
    per_token = kv_bytes(shape) / tensor_parallel
    cache_tokens = int((share - fixed) / per_token)
    if cache_tokens <= 0:
        raise ValueError(
            f"vLLM's share of {share / GIB:.1f} GiB (vllm_gpu_memory_utilization {utilization:g} of "
            f"{memory / GIB:.0f} GiB) does not hold its weights and buffers ({fixed / GIB:.1f} GiB); set "
            f"vllm_gpu_memory_utilization above {fixed / memory:.2f}, raise vllm_tensor_parallel_size "
            f"(now {tensor_parallel}), or generate fewer sequences at once (now {sequences}; steps_per_generation)"
        )
    return Engine(kind="colocate", generating=share, training=SLEEPING if sleeps else share, cache_tokens=cache_tokens)
