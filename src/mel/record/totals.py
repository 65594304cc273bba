"""Tokens and seconds of a run so far, from lines of metrics that hold means per generation batch."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from mel.record.metric_names import CUMULATIVE, EVALUATION, GENERATED, SECONDS, TRAINED, generated_in, trained_in

Row = Mapping[str, object]


class Totals:
    """Sums over a run, earlier sessions of a resumed one included.

    A line of metrics holds means over the generation batches since the line before. How many these were is counted
    here, batch by batch: it follows neither from the number of steps (a batch may be used for several, and then some
    lines have none) nor from anything in the line.

    Args:
        logged: the lines that the run holds already.
        start: the optimizer step that this session goes on from.
    """

    def __init__(self, logged: Sequence[Row], *, start: int = 0) -> None:
        self._sums = {path: _last(logged, path) for path in CUMULATIVE}
        self._batches = 0
        self._seen = time.monotonic()
        self._start = start
        self._logged_to = int(_last([row for row in logged if _is_training(row)], "step"))

    @property
    def generated(self) -> float:
        """Tokens generated so far, in all phases."""
        return self._sums[GENERATED]

    def add_batch(self) -> None:
        """One more generation batch, which is part of the next line."""
        self._batches += 1

    def after(self, step: int, row: Row) -> dict[str, float]:
        """The sums with this line of that step, by metric path."""
        batches = self._batches * self._share_seen(step)
        now = time.monotonic()
        self._sums[GENERATED] += batches * generated_in(row)
        self._sums[TRAINED] += batches * trained_in(row)
        self._sums[SECONDS] += now - self._seen
        self._batches, self._seen, self._logged_to = 0, now, step
        return dict(self._sums)

    def _share_seen(self, step: int) -> float:
        """1, but for the first line of a session that went on between two lines.

        The steps between the last line and the checkpoint were done in the session before, which was killed before it
        logged them: they are taken to have cost what the ones after the checkpoint cost.
        """
        if not self._logged_to < self._start < step:
            return 1.0
        return (step - self._logged_to) / (step - self._start)


def _is_training(row: Row) -> bool:
    """Whether a line tells of training, not only of an evaluation in between."""
    return any(path != "step" and not path.startswith(EVALUATION) for path in row)


def _last(logged: Sequence[Row], path: str) -> float:
    """The latest value of a metric, 0 if it was never logged."""
    return next((float(v) for row in reversed(logged) if isinstance(v := row.get(path), int | float)), 0.0)
