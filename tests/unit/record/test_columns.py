"""One list of columns: a field added to it is a column of the store, of the trackers' table and of the page."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import pytest

from mel.record import ExperienceStore, RunDirectory, StoredExperience
from mel.record.columns import Column, columns_of
from mel.record.tracked import tracked_columns, tracked_row
from mel.report.arms import read_run
from mel.report.browser import compact, experiences_json
from mel.types import Replayed

Make = Callable[..., Replayed]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wider(StoredExperience):
    """With a column more: how long the reference answer is."""

    answer_length: Annotated[int | None, Column(lambda made: len(made.pair.problem.answer))]


def test_a_column_that_is_added_is_stored_read_tracked_and_shown(tmp_path: Path, make_replayed: Make) -> None:
    with ExperienceStore.create(tmp_path / "wider.db", of=Wider) as store:
        store.write_step(1, [make_replayed()])
        (found,) = store.list().items
    assert isinstance(found, Wider)
    assert found.answer_length == 1  # the answer is "8"
    assert tracked_columns(Wider) == (*tracked_columns()[:-1], "answer_length", "replay")
    assert tracked_row(1, make_replayed(), Wider)["answer_length"] == 1
    assert compact(0, found)["answer_length"] == 1
    assert "answer_length" in json.loads(experiences_json([], of=Wider))["listed"]
    # A store that has more columns than are asked for is read without them.
    with ExperienceStore.open(tmp_path / "wider.db") as store:
        assert not hasattr(store.list().items[0], "answer_length")


def test_the_list_is_all_there_is(tmp_path: Path, make_replayed: Make) -> None:
    columns = columns_of(StoredExperience)
    assert [c.field for c in columns] == [f.name for f in fields(StoredExperience) if f.name not in ("id", "attempts")]
    with RunDirectory.create(tmp_path / "a", {"name": "a"}, {}) as run:
        run.experiences.write_step(1, [make_replayed()])
    with sqlite3.connect(run.path / "experiences.db") as other:
        table = [(name, kind) for _, name, kind, *_ in other.execute("PRAGMA table_info(experiences)")]
    other.close()
    assert table == [("id", "INTEGER"), *((c.name, c.sql.split()[0]) for c in columns)]
    (shown,) = json.loads(experiences_json([read_run(run.path)]))["experiences"]
    assert {c.field for c in columns if c.meant.page != "left out"} <= set(shown)
    assert [c.name for c in columns if c.meant.tracked] == [*tracked_columns()][:-1]


@pytest.mark.parametrize(
    ("annotation", "sql"),
    [(int, "INTEGER NOT NULL"), (bool | None, "INTEGER"), (float | None, "REAL"), (str, "TEXT NOT NULL")],
)
def test_the_type_of_a_field_settles_how_it_is_stored(annotation: object, sql: str) -> None:
    kind = type("Kind", (), {"__annotations__": {"x": Annotated[annotation, Column("x")]}})
    assert [c.sql for c in columns_of(kind)] == [sql]
