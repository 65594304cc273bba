"""What ranks tell each other, once per generation batch and never a number of times that depends on the data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
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


def all_of(value: T) -> list[T]:
    """Every rank's value, in rank order, on every rank."""
    return gather_object([value])


def sum_counts(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Sums per key; a key that only some parts have counts as 0 in the others."""
    total: Counter[str] = Counter()
    for part in parts:
        for key, value in part.items():
            total[key] += value  # type: ignore[assignment]
    return dict(total)


def gathered_on_main(value: T, accelerator: Accelerator) -> list[T]:
    """Every rank's value on the main process, nothing on the others; every rank must call it."""
    if accelerator.num_processes == 1:
        return [value]
    parts: list[Any] | None = [None] * accelerator.num_processes if accelerator.is_main_process else None
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
