"""What ranks tell each other, once per generation batch and never a number of times that depends on the data."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import gather_object

T = TypeVar("T")


def max_over_ranks(value: int, accelerator: Accelerator) -> int:
    """The largest value of any rank."""
    if accelerator.num_processes == 1:
        return value
    gathered: Any = accelerator.gather(torch.tensor([value], device=accelerator.device))
    return int(gathered.max())


class TrainerRanks:
    """The `Ranks` port over accelerate's processes."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self.index: int = accelerator.process_index

    def all_of(self, value: T) -> list[T]:
        """Every rank's value, in rank order, on every rank."""
        return gather_object([value])

    def on_main(self, value: T) -> list[T]:
        """Every rank's value on the main process, nothing on the others."""
        if self._accelerator.num_processes == 1:
            return [value]
        parts: list[Any] | None = [None] * self._accelerator.num_processes if self.index == 0 else None
        torch.distributed.gather_object(value, parts, dst=0)
        return parts or []


def leave_group() -> None:
    """Ends what ranks share, when all of them are done; nothing with one process.

    A process that ends with its group alive may be aborted by the group's own threads ("terminate called without an
    active exception"), and the launcher then calls a finished run a failed one.
    """
    state = PartialState()
    if state.num_processes > 1:
        state.wait_for_everyone()
        state.destroy_process_group()
