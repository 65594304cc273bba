"""Sends a sample of the experiences as a table to every tracker; the metrics go there through TRL itself.

Trackers are found as callbacks of the trainer, whether `report_to` or the caller put them there, and nothing of
theirs is imported unless one is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from transformers import Trainer
from transformers.integrations.integration_utils import (
    INTEGRATION_TO_CALLBACK,
    MLflowCallback,
    TensorBoardCallback,
    TrackioCallback,
    WandbCallback,
    get_available_reporting_integrations,
)
from transformers.utils import logging

from mel.naming import did_you_mean
from mel.record.tracked import TrackedRow, as_markdown, sample, tracked_columns, tracked_row
from mel.types import Group, Outcome

logger = logging.get_logger(__name__)

TABLE = "experiences"
"""What the table is called in a tracker; TRL's own is `completions`."""

Rows = list[TrackedRow]


class ExperienceTables:
    """An observer that sends a sample of the latest experiences to every tracker whenever the trainer logs.

    A tracker that fails gets no further table in this run, after one warning with its name: training goes on.

    Args:
        trackers: name -> callback of each.
        count: experiences per table at most.
    """

    def __init__(self, trackers: Mapping[str, Any], count: int) -> None:
        self._trackers = dict(trackers)
        self._count = count
        self._rows: Rows = []

    def on_outcome(self, step: int, outcome: Outcome, groups: Sequence[Group]) -> None:
        """Keep a sample until the next line is logged; a batch without candidates leaves the one before."""
        if outcome.replayed:
            self._rows = [tracked_row(step, r) for r in sample(outcome.replayed, self._count)]

    def on_metrics(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Send what came since the line before, once."""
        rows, self._rows = self._rows, []
        if rows:
            for name in list(self._trackers):
                self._send(name, rows, step)

    def _send(self, name: str, rows: Rows, step: int) -> None:
        try:
            SENDERS[name][1](self._trackers[name], rows, step)
        except Exception as error:  # whatever a tracker raises, a service that is away must not end a run
            del self._trackers[name]
            logger.warning(
                "%s took no table of experiences at step %d (%s: %s); it is sent none from here on, training goes on",
                name,
                step,
                type(error).__name__,
                error,
            )


def experience_tables(trainer: Trainer, count: int) -> ExperienceTables | None:
    """The observer for the trackers among the trainer's callbacks; None if there are none or no table is asked for."""
    callbacks = trainer.callback_handler.callbacks if count else []
    found = {name: c for c in callbacks for name, (kind, _) in SENDERS.items() if isinstance(c, kind)}
    return ExperienceTables(found, count) if found else None


def check_trackers(report_to: Sequence[str]) -> None:
    """Refuses trackers that are unknown or not installed, before anything is made or trained.

    Raises:
        ValueError: with what to install or what was probably meant.
    """
    for name in report_to:
        if name not in INTEGRATION_TO_CALLBACK:
            hint = did_you_mean(name, INTEGRATION_TO_CALLBACK) or f"; valid: {', '.join(INTEGRATION_TO_CALLBACK)}"
            raise ValueError(f"trainer.report_to: unknown tracker {name!r}{hint}")
        installed = get_available_reporting_integrations()
        if name in SENDERS and name not in installed:
            raise ValueError(
                f"trainer.report_to: expected trackers that are installed ({', '.join(installed) or 'none is'}), "
                f"got {name!r}: pip install {name}, or leave it out; the run directory has everything it would get"
            )


def _frame(rows: Rows) -> Any:
    """The rows as TRL hands its completions to trackers; of objects, since numbers with gaps would turn into NaN."""
    return import_module("pandas").DataFrame(rows, columns=tracked_columns(), dtype=object)


def _to_tensorboard(callback: Any, rows: Rows, step: int) -> None:
    if callback.tb_writer is not None:
        callback.tb_writer.add_text(TABLE, as_markdown(rows), step)
        callback.tb_writer.flush()


def _to_wandb(_: Any, rows: Rows, step: int) -> None:
    wandb = import_module("wandb")
    if wandb.run is not None:
        wandb.log({TABLE: wandb.Table(dataframe=_frame(rows)), "train/global_step": step})


def _to_trackio(_: Any, rows: Rows, step: int) -> None:
    trackio = import_module("trackio")
    # Trackio counts its steps by calls unless it is told; an own count would push the metrics' steps ahead.
    trackio.log({TABLE: trackio.Table(dataframe=_frame(rows)), "train/global_step": step}, step=step)


def _to_mlflow(_: Any, rows: Rows, _step: int) -> None:
    mlflow = import_module("mlflow")
    if mlflow.active_run() is not None:
        # One file to which each table is appended: MLflow names every file in a tag of 8,000 characters.
        mlflow.log_table(_frame(rows), f"{TABLE}.json")


SENDERS: dict[str, tuple[type, Callable[[Any, Rows, int], None]]] = {
    "tensorboard": (TensorBoardCallback, _to_tensorboard),
    "wandb": (WandbCallback, _to_wandb),
    "trackio": (TrackioCallback, _to_trackio),
    "mlflow": (MLflowCallback, _to_mlflow),
}
