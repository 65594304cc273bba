"""`mel train` with a tracker: the run directory stays whole, the tracker gets the same under the documented names."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mel.config import load_recipe
from mel.record import RunDirectory
from mel.run import train

CHANGES = [
    "trainer.max_steps=2",
    "trainer.save_strategy='no'",
    "trainer.report_to=tensorboard",
    "evaluation.suites=[{name: L5, count: 4, k: 0, max_tokens: 44}]",
    "evaluation.before=false",
    "evaluation.after=false",
    "evaluation.every=2",
    "output.save_final=false",
    "output.tracked_experiences=2",
]


def test_a_tracked_run_has_in_its_directory_all_that_the_tracker_has(tmp_path: Path) -> None:
    train(load_recipe("recommended", CHANGES), output=tmp_path / "run")
    (file,) = (tmp_path / "run" / "checkpoints" / "runs").glob("*/events.out.tfevents.*")
    events = EventAccumulator(str(file))
    events.Reload()
    with RunDirectory.open(tmp_path / "run") as directory:
        metrics = directory.metrics.read()
        stored = directory.experiences.list(limit=1000)
    for name in ("reward/mean", "experience/retention", "objective/lambda", "evaluation/L5/pass_at_1"):
        written = [(row["step"], pytest.approx(row[name])) for row in metrics if name in row]
        assert [(s.step, s.value) for s in events.Scalars(f"train/{name}")] == written
    shown = [e.tensor_proto.string_val[0].decode().splitlines()[2:] for e in events.Tensors("experiences/text_summary")]
    # The candidates of both steps are kept and rejected ones: a table of two has one of each.
    assert [[row.split(" | ")[6] for row in table] for table in shown] == [["True", "False"]] * 2
    problems = {s.problem for s in stored}
    assert all(row.split(" | ")[1] in problems for table in shown for row in table)
