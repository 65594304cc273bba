"""Progress within a step: nothing about a short one; one line about a long one, under the bar or in a log."""

from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mel.ports import StepProgress
from mel.record import RunDirectory
from mel.run.progress import StepLine, TrainingBar
from mel.run.recorder import Recorder
from mel.tasks.story_counts import StoryCounts

ROLLOUT = StepProgress(step=3, phase="rollout", unit="token", done=57, total=160, sequences=32)


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def line(clock: Clock) -> StepLine:
    return StepLine(total_steps=12, clock=clock)


def heard(line: StepLine, clock: Clock, progress: StepProgress, seconds: int) -> Iterator[tuple[int, str]]:
    """Second from 0 and line, where one is due, of a phase that is told of four times a second."""
    for quarter in range(4 * seconds):
        if text := line.hear(progress):
            yield quarter // 4, text
        clock.seconds += 0.25


def test_a_step_of_less_than_ten_seconds_is_not_shown(line: StepLine, clock: Clock) -> None:
    assert [*heard(line, clock, ROLLOUT, 9)] == []
    assert line.text() == ""
    # The next one starts anew.
    assert [*heard(line, clock, replace(ROLLOUT, step=4), 9)] == []


def test_a_long_step_has_a_line_in_a_log_every_ten_seconds(line: StepLine, clock: Clock) -> None:
    due = dict(heard(line, clock, ROLLOUT, 35))
    assert [*due] == [10, 20, 30]
    assert due[20] == "step 3/12  rollout: token 57 of at most 160 for 32 sequences  20 s"


def test_lines_of_two_long_steps_are_ten_seconds_apart(line: StepLine, clock: Clock) -> None:
    assert [second for second, _ in heard(line, clock, ROLLOUT, 21)] == [10, 20]
    line.end()
    assert line.text() == ""
    assert [second for second, _ in heard(line, clock, replace(ROLLOUT, step=4), 15)] == [10]


@pytest.mark.parametrize(
    ("counted", "words"),
    [
        ({"phase": "construct", "sequences": 8}, "construct: 8 sequences"),
        ({"phase": "verify"}, "verify"),
        ({"phase": "diagnostics", "unit": "pass", "done": 2, "total": 5}, "diagnostics: pass 2 of 5"),
        ({"phase": "update", "unit": "micro-batch", "done": 3, "total": 4}, "update: micro-batch 3 of 4"),
    ],
)
def test_a_phase_is_told_with_what_can_be_counted_of_it(
    line: StepLine, clock: Clock, counted: dict[str, Any], words: str
) -> None:
    line.hear(StepProgress(step=1, phase="rollout"))
    clock.seconds += 12.4
    assert line.hear(StepProgress(step=1, **counted)) == f"step 1/12  {words}  12 s"


def test_on_a_terminal_the_line_is_below_the_bar_as_long_as_the_step_lasts(line: StepLine, clock: Clock) -> None:
    bar = TrainingBar(line, Console(file=StringIO(), force_terminal=True))
    line.hear(ROLLOUT)
    assert len([*bar.get_renderables()]) == 1
    clock.seconds += 11
    _, below = bar.get_renderables()
    assert str(below) == "step 3/12  rollout: token 57 of at most 160 for 32 sequences  11 s"
    line.end()
    assert len([*bar.get_renderables()]) == 1


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_recorder_shows_the_line_and_takes_it_away_with_the_step(tmp_path: Path, *, is_terminal: bool) -> None:
    directory = RunDirectory.create(tmp_path / "run", {"name": "a"}, {})
    console = Console(file=StringIO(), width=100, force_terminal=is_terminal)
    with Recorder(directory, StoryCounts(length=5), total_steps=4, console=console, shown_after_s=0.0) as recorder:
        recorder.on_progress(replace(ROLLOUT, step=1))
        if recorder._progress:
            recorder._progress.refresh()
        recorder.on_metrics(1, {"reward/mean": 0.5})
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("step 1/4  rollout: token 57 of at most 160 for 32 sequences  0 s") >= 1
    # A terminal's last frame follows the code that erases a line.
    last = text.rpartition("\x1b[2K")[2] if is_terminal else text.splitlines()[-1]
    assert "rollout" not in last
    assert "reward 0.50" in last
