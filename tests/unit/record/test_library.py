"""What a person looks for in a store: words, facts, and both at once."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mel.record import ExperienceStore
from mel.record.library import Library, Query
from mel.types import Replayed

Make = Callable[..., Replayed]


@pytest.fixture
def path(tmp_path: Path, make_replayed: Make) -> Path:
    def made(concept: str | None, **other: object) -> Replayed:
        item = make_replayed(**other)
        return replace(item, truth=replace(item.truth, concept=concept))

    with ExperienceStore.create(tmp_path / "experiences.db") as store:
        first = made("recovers", problem="Max recovers 8 books", problem_id="a")
        second = made("recovers", problem="Ada recovers 3 cups", problem_id="b", attempts=(False,))
        third = made("warms", problem="Ida warms 2 cups", problem_id="a", attempts=(False,), reason="no_uplift")
        store.write_step(1, [first, second])
        store.write_step(2, [third, made(None, failure="no_heuristic", problem_id="c")])
    return tmp_path / "experiences.db"


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        (Query(), (4, 3, 2, 1)),
        (Query(words="CUPS"), (3, 2)),
        (Query(verdict="kept"), (1,)),
        (Query(verdict="dropped"), (4, 3, 2)),
        (Query(verdict="no_uplift"), (3,)),
        (Query(concept="recovers"), (2, 1)),
        (Query(step=2), (4, 3)),
        (Query(problem="a"), (3, 1)),
        (Query(words="cups", verdict="dropped", concept="recovers", step=1, problem="b"), (2,)),
        (Query(words="cups", step=7), ()),
        (Query(problem="' OR 1=1 --"), ()),
    ],
)
def test_every_condition_must_hold_and_the_newest_come_first(
    path: Path, query: Query, numbers: tuple[int, ...]
) -> None:
    library = Library(ExperienceStore.open(path))
    found = library.find(query, limit=20)
    assert (found.ids, found.total) == (numbers, len(numbers))
    assert library.find(query, limit=1, offset=1).ids == numbers[1:2]


def test_reasons_and_concepts_are_counted(path: Path) -> None:
    library = Library(ExperienceStore.open(path))
    assert library.counts("concept") == {"recovers": 2, "warms": 1}
    assert [*library.counts("reason").items()] == [
        ("failed_replay", 1), ("kept", 1), ("no_heuristic", 1), ("no_uplift", 1),
    ]  # fmt: skip


def test_a_store_from_before_concepts_is_read_without_them_and_written_with_them(
    path: Path, make_replayed: Make
) -> None:
    with sqlite3.connect(path) as other:
        other.execute("ALTER TABLE experiences DROP COLUMN concept")
    other.close()
    library = Library(ExperienceStore.open(path))
    assert library.store.show(1).concept is None
    assert library.find(Query(words="cups"), limit=9).ids == (3, 2)
    library.close()
    with ExperienceStore.open(path) as store:
        item = make_replayed()
        store.write_step(3, [replace(item, truth=replace(item.truth, concept="finds"))])
        assert [e.concept for e in store.list()] == [None] * 4 + ["finds"]
