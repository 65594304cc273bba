"""Writes what a host reports while it trains to the run directory, and shows the progress."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from mel.ports import Conceptual, Counting, StepProgress, Task
from mel.record.concepts import ConceptCounts
from mel.record.run_directory import RunDirectory
from mel.record.totals import Totals
from mel.run.progress import SHOWN_AFTER_S, StepLine, TrainingBar
from mel.types import Group, Outcome


class Recorder:
    """The host's observer: experiences and metrics to disk, a bar or plain lines to the console.

    Args:
        task: its own counts join the metrics if it has any.
        total_steps: of the run, for the time left.
        keeps_rollouts: write every rollout with its verdict to the log of the run directory.
        shown_after_s: from when on the progress within a step is shown.
    """

    def __init__(
        self,
        directory: RunDirectory,
        task: Task,
        *,
        total_steps: int,
        console: Console,
        keeps_rollouts: bool = False,
        shown_after_s: float = SHOWN_AFTER_S,
    ) -> None:
        self._directory = directory
        self._task = task
        self._rollouts = directory.rollouts if keeps_rollouts else None
        self._concepts = ConceptCounts(task) if isinstance(task, Conceptual) else None
        self._written = (0, 0)
        self._console = console
        self._total = total_steps
        self._started = time.monotonic()
        logged = directory.metrics.read()
        self._totals = Totals(logged, start=directory.status.step)
        self._tried, self._kept = 0, 0
        self._first: int | None = None
        self._mixed = [row["reward/groups_mixed"] for row in logged if "reward/groups_mixed" in row]
        self._has_varied = any(map(_varies, logged))
        self._line = StepLine(total_steps=total_steps, shown_after_s=shown_after_s)
        self._progress = TrainingBar(self._line, console) if console.is_terminal else None
        self._bar = self._progress.add_task("train", total=total_steps, note="") if self._progress else None

    def __enter__(self) -> Recorder:
        if self._progress:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._line.end()
        if self._progress:
            self._progress.stop()

    def on_outcome(self, step: int, outcome: Outcome, groups: Sequence[Group]) -> None:
        """Count the generation batch, and keep every candidate of it in one transaction."""
        self._totals.add_batch()
        if self._concepts:
            self._concepts.add(groups)
        if self._rollouts:
            self._rollouts.append(step, groups)
        # Several generation batches of one step follow each other; a step written anew starts from its first.
        first_index = self._written[1] if self._written[0] == step else 0
        self._directory.experiences.write_step(step, outcome.replayed, first_index=first_index)
        self._written = (step, first_index + len(outcome.replayed))
        self._tried += sum(bool(item.attempts) for item in outcome.replayed)
        self._kept += sum(item.is_kept for item in outcome.replayed)

    def on_metrics(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Append the metrics of a step, with the sums so far, and show where the run stands."""
        if "train_runtime" in metrics:
            # The trainer's closing line averages over one session; a resumed run could not repeat it.
            return
        row = {name: value for name, value in metrics.items() if isinstance(value, float | int | str)}
        if "reward/mean" in row:
            self._mixed.append(float(row.get("reward/groups_mixed", 0.0)))
            self._has_varied = self._has_varied or _varies(row)
            row |= self._totals.after(step, row)
            row |= self._task.metrics() if isinstance(self._task, Counting) else {}
            row |= self._concepts.take() if self._concepts else {}
        self._directory.metrics.append(step, row)
        self._directory.set_status("running", step=step)
        if "reward/mean" in row:
            self._show(step, row)

    def on_progress(self, progress: StepProgress) -> None:
        """Show how far a step is that takes long: below the bar, or as a line now and then."""
        line = self._line.hear(progress)
        if line and self._progress is None:
            self._console.print(line, highlight=False)

    def warning(self) -> str:
        """A warning about a run without a contrast to learn from, with the reason; empty if it had one."""
        if not self._mixed or any(self._mixed):
            return ""
        missing = (
            "a contrast of rollouts, only from rewards between right and wrong"
            if self._has_varied
            else "the rewards or from a contrast of rollouts"
        )
        return (
            f"no group was mixed in {len(self._mixed)} logged steps: every problem was solved by all of its rollouts "
            f"or by none, so there was nothing to learn from {missing}. Look at "
            "responses and verdicts (mel eval), the chat template and max_completion_length"
        )

    def _show(self, step: int, metrics: Mapping[str, Any]) -> None:
        self._line.end()
        note = f"reward {metrics['reward/mean']:.2f}"
        if self._tried:
            note += f"  kept {self._kept / self._tried:.0%}"
        note += f"  {self._totals.generated / 1000:.0f}k tokens"
        self._tried, self._kept = 0, 0
        if self._progress and self._bar is not None:
            self._progress.update(self._bar, completed=step, note=note)
            return
        self._first = self._first if self._first is not None else step
        done, elapsed = step - self._first, time.monotonic() - self._started
        left = f"  {elapsed / done * (self._total - step):.0f} s left" if done else ""
        self._console.print(f"step {step}/{self._total}  {note}{left}", highlight=False)


def _varies(row: Mapping[str, Any]) -> bool:
    """Whether rewards within a group differed, as shares of passed tests may where no rollout is right."""
    return float(row.get("reward_std", 0.0)) > 0.0
