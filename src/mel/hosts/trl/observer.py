"""What TRL logs, told to whoever listens to a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from mel.ports import Observer


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
