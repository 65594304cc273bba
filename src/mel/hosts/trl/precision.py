"""Mixed precision while the policy generates: every weight is cast once per call, not once per token."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from accelerate.utils import DistributedType
from accelerate.utils.modeling import get_mixed_precision_context_manager

WHOLE = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
"""Where every process holds the weights as they are; sharded ones are gathered anew for every forward pass."""


def cast_once(accelerator: Any) -> AbstractContextManager[Any]:
    """Autocast as the accelerator has it, around many forward passes without gradient.

    accelerate wraps `forward` in autocast, which forgets its copies of the weights whenever the outermost region ends:
    after every token. A region around the whole generation keeps them. The copies are the same, and so are the tokens;
    the memory too, for a forward pass ends with all of them. No optimizer step may lie within it.

    Returns:
        Nothing to enter without mixed precision, and where weights are sharded.
    """
    is_mixed = accelerator.native_amp and accelerator.mixed_precision in ("bf16", "fp16")
    if not is_mixed or accelerator.distributed_type not in WHOLE:
        return nullcontext()
    return get_mixed_precision_context_manager(True, accelerator.autocast_handler)
