"""The most bytes that tensors hold at once: the allocator's figure on a GPU, counted by operation on a CPU."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all live CPU storages that operations inside returned, and their maximum."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.held = self.most = before
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and tensor.device.type == "cpu":
                self._note(tensor.untyped_storage())
        return out

    def own(self, tensors: Iterable[torch.Tensor]) -> None:
        """These are in `before` already."""
        self._known |= {t.untyped_storage()._cdata for t in tensors}

    def _note(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.held += size
        self.most = max(self.most, self.held)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.held -= size


@contextmanager
def peak_memory(device: str, model: torch.nn.Module) -> Iterator[list[int]]:
    """The most bytes that tensors held inside, in the list that is yielded, once the block has ended."""
    found: list[int] = []
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        yield found
        found.append(torch.cuda.max_memory_allocated())
        return
    live = LiveBytes(before=sum(p.nbytes for p in model.parameters()))
    live.own([*model.parameters(), *model.buffers()])
    with live:
        yield found
    found.append(live.most)
