"""When backward passes exchange gradients between ranks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from accelerate.utils import DistributedType
from torch.nn.parallel import DistributedDataParallel


@contextmanager
def gradient_sync(model: Any, accelerator: Any, *, enabled: bool) -> Iterator[None]:
    """Whether backward passes inside exchange gradients between ranks; afterwards it is as it was.

    Accelerate's `no_sync` cannot be nested (it leaves FSDP2 synchronizing) nor turned off inside itself.
    """
    if isinstance(model, DistributedDataParallel):
        before, model.require_backward_grad_sync = model.require_backward_grad_sync, enabled
        try:
            yield
        finally:
            model.require_backward_grad_sync = before
    elif accelerator.is_fsdp2:
        outer = accelerator.sync_gradients or accelerator.gradient_state.plugin_kwargs.get("sync_each_batch", False)
        model.set_requires_gradient_sync(enabled)
        try:
            yield
        finally:
            model.set_requires_gradient_sync(outer)
    elif accelerator.distributed_type == DistributedType.DEEPSPEED:
        # The engine steps at the boundary that `sync_gradients` announces; the policy's backward is that boundary.
        state, before = accelerator.gradient_state, accelerator.sync_gradients
        state._set_sync_gradients(False)
        try:
            yield
        finally:
            state._set_sync_gradients(before)
    else:
        yield
