"""Progress within one training step, for a person: nothing about a short step, one line about a long one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from mel.ports import StepProgress

SHOWN_AFTER_S = 10.0
"""A step that takes less is over before anybody wonders."""

LOGGED_EVERY_S = 10.0
"""Least time between two lines of a log."""


class StepLine:
    """What there is to say about the step that is being done.

    Args:
        total_steps: of the run.
        shown_after_s: how long a step must have lasted.
        logged_every_s: least time between two lines that are due for a log.
        clock: seconds from any origin.
    """

    def __init__(
        self,
        *,
        total_steps: int,
        shown_after_s: float = SHOWN_AFTER_S,
        logged_every_s: float = LOGGED_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total_steps
        self._shown_after_s, self._logged_every_s = shown_after_s, logged_every_s
        self._clock = clock
        self._now: tuple[float, StepProgress] | None = None
        self._due = 0.0

    def hear(self, progress: StepProgress) -> str:
        """The line that is due for a log; empty most of the time."""
        now = self._clock()
        if self._now is None or self._now[1].step != progress.step:
            self._now = now, progress
            self._due = max(self._due, now + self._shown_after_s)
        # One assignment: a terminal is refreshed by another thread.
        self._now = self._now[0], progress
        if now < self._due:
            return ""
        self._due = now + self._logged_every_s
        return self.text()

    def end(self) -> None:
        """The step is done."""
        self._now = None

    def text(self) -> str:
        """What to show of the step now; empty about one that has not lasted long."""
        heard = self._now
        if heard is None or (seconds := self._clock() - heard[0]) < self._shown_after_s:
            return ""
        progress = heard[1]
        counted = _counted(progress)
        return f"step {progress.step}/{self._total}  {progress.phase}{counted and f': {counted}'}  {seconds:.0f} s"


class TrainingBar(Progress):
    """The steps of a run as a bar; below it a line about the step that is being done, if that takes long."""

    def __init__(self, line: StepLine, console: Console) -> None:
        self._line = line
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
        )
        super().__init__(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)

    def get_renderables(self) -> Iterator[RenderableType]:
        """The bar and the line, as rich asks for them whenever it refreshes."""
        yield from super().get_renderables()
        if text := self._line.text():
            yield Text(text, style="dim", no_wrap=True, overflow="ellipsis")


def _counted(progress: StepProgress) -> str:
    """How much of the phase is done, in words; empty if nothing is counted."""
    side_by_side = f"{progress.sequences} sequences" if progress.sequences else ""
    if not progress.unit:
        return side_by_side
    if progress.unit == "token":
        return f"token {progress.done} of at most {progress.total} for {side_by_side}"
    return f"{progress.unit} {progress.done} of {progress.total}"
