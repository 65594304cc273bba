"""What a run may listen to: the outcome of every generation batch and every line of metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from mel.types import Group, Outcome


class Observer(Protocol):
    """Called on the main process only, with what all ranks did."""

    def on_outcome(self, step: int, outcome: Outcome, groups: Sequence[Group]) -> None:
        """After the auxiliaries of one generation batch: once for every batch, also for one that gave nothing.

        The recorder counts batches by these calls, since a line of metrics holds means over some number of them.

        Args:
            step: 1-based number of the optimizer step that this batch is first used in.
            outcome: of all ranks: rows and replayed in rank order, counts summed.
            groups: of all ranks, in rank order.
        """
        ...

    def on_metrics(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Whenever the trainer logs.

        Args:
            step: number of optimizer steps done.
        """
        ...


class MetricsToObserver(TrainerCallback):
    """Forwards what the trainer logs, after TRL has merged its metrics."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if state.is_world_process_zero and logs is not None:
            for observer in self._observers:
                observer.on_metrics(state.global_step, dict(logs))
