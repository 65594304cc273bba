"""The log of training rollouts: read back by `datasets`, correct after a kill, nothing where it is off."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from mel.record import RunDirectory
from mel.record.rollouts import COLUMNS
from mel.run.recorder import Recorder
from mel.tasks.story_counts import StoryCounts
from mel.types import Group, Outcome, Problem, Rollout, Verdict

RIGHT, WRONG = Verdict(is_correct=True, reason="right", detail="answer 57"), Verdict(is_correct=False, reason="wrong")


def group(problem: str) -> Group:
    rollouts = (
        Rollout(token_ids=(1, 2, 3), text="1) finds plus 4 = 57 answer 57", verdict=RIGHT, reward=1.0),
        Rollout(token_ids=(1,), text="\ud83d", verdict=WRONG, reward=-0.5, is_truncated=True),
    )
    return Group(problem=Problem(id=problem, text="start 53 1) finds 4", answer="57"), prompt_ids=(), rollouts=rollouts)


def recorder(directory: RunDirectory, *, keeps_rollouts: bool = True) -> Recorder:
    console = Console(quiet=True)
    return Recorder(directory, StoryCounts(length=1), total_steps=9, console=console, keeps_rollouts=keeps_rollouts)


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    pytest.importorskip("pyarrow")
    return RunDirectory.create(tmp_path / "run", {"name": "a"}, {})


def places(directory: RunDirectory) -> list[tuple[int, int, int, int]]:
    import pyarrow.parquet as parquet

    rows = parquet.read_table(directory.path / "rollouts").to_pylist()
    return [(row["step"], row["batch"], row["group"], row["rollout"]) for row in rows]


def test_datasets_loads_every_rollout_with_its_verdict(directory: RunDirectory, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    told = recorder(directory)
    told.on_outcome(1, Outcome(), [group("p0"), group("p1")])
    told.on_outcome(2, Outcome(), [replace(group("p2"), rollouts=())])
    files = str(directory.path / "rollouts" / "*.parquet")
    rows = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert [(row["problem_id"], row["group"], row["rollout"]) for row in rows] == [
        ("p0", 0, 0), ("p0", 0, 1), ("p1", 1, 0), ("p1", 1, 1),
    ]  # fmt: skip
    assert rows.column_names == list(COLUMNS)
    first, second = rows[0], rows[1]
    assert (first["response"], first["num_tokens"], first["reward"]) == ("1) finds plus 4 = 57 answer 57", 3, 1.0)
    assert (first["is_correct"], first["reason"], first["detail"]) == (True, "right", "answer 57")
    assert (second["response"], second["is_truncated"], second["reward"]) == ("?", True, -0.5)


def test_a_resume_deletes_what_lies_behind_its_checkpoint_and_writes_it_once(directory: RunDirectory) -> None:
    told = recorder(directory)
    for step in (1, 2, 2, 3):  # two generation batches in step 2
        told.on_outcome(step, Outcome(), [group("p")])
    (directory.path / "rollouts" / "step-00000004-batch-000.part").write_bytes(b"half")  # a kill
    directory.truncate_after(2)
    again = recorder(directory)
    for step in (3, 4):
        again.on_outcome(step, Outcome(), [group("p")])
    assert places(directory) == [
        (step, batch, 0, rollout) for step, batch in ((1, 0), (2, 0), (2, 1), (3, 0), (4, 0)) for rollout in (0, 1)
    ]
    assert {file.suffix for file in (directory.path / "rollouts").iterdir()} == {".parquet"}


def test_where_it_is_off_no_directory_is_made(directory: RunDirectory) -> None:
    recorder(directory, keeps_rollouts=False).on_outcome(1, Outcome(), [group("p")])
    assert not (directory.path / "rollouts").exists()
