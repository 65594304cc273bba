"""What a launcher (torchrun, accelerate) tells the processes that it starts."""

from __future__ import annotations

import os


def num_processes() -> int:
    """How many processes a launcher started; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the process that writes, prints and evaluates."""
    return int(os.environ.get("RANK", "0")) == 0


def shards_weights() -> bool:
    """Whether no process holds the whole policy: FSDP, or ZeRO-3."""
    is_zero3 = _says("ACCELERATE_USE_DEEPSPEED") and os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE") == "3"
    return num_processes() > 1 and (_says("ACCELERATE_USE_FSDP") or is_zero3)


def shards_states() -> bool:
    """Whether some of what training holds lies in shards or in the host's memory: FSDP, or DeepSpeed at any stage."""
    return _says("ACCELERATE_USE_FSDP") or _says("ACCELERATE_USE_DEEPSPEED")


def _says(name: str) -> bool:
    return os.environ.get(name, "").lower() == "true"
