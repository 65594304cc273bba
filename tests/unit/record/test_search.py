"""Full-text search and notes, over a store written through its own API."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mel.record import ExperienceStore
from mel.record.search import Memory, TextIndex
from mel.types import Replayed


@pytest.fixture
def store(tmp_path: Path, make_replayed: Callable[..., Replayed]) -> Iterator[ExperienceStore]:
    with ExperienceStore.create(tmp_path / "experiences.db") as store:
        items = [
            make_replayed(problem="Max recovers 8 books", heuristic="If someone recovers things, the number grows."),
            make_replayed(problem="Ada recovers 3 cups", heuristic="If someone  recovers things, the NUMBER grows."),
            make_replayed(problem="Max warms 8 books", heuristic="If someone warms things, nothing changes."),
            make_replayed(problem="Ida warms 2 cups", heuristic="Warming takes one away.", attempts=(False,)),
        ]
        store.write_step(1, items)
        yield store


def test_every_word_must_occur_and_a_beginning_of_one_is_enough(store: ExperienceStore) -> None:
    index = TextIndex(store)
    assert index.search("recover grow").total == 2
    assert index.search("RECOVERS max").ids == (1,)
    assert index.search("recovers warms").total == 0


def test_what_a_person_types_is_never_a_query_language(store: ExperienceStore) -> None:
    index = TextIndex(store)
    found = {'"': 4, "recovers OR warms": 0, "NEAR(": 0, "problem:": 0, "'; DROP TABLE experiences; --": 0}
    assert {words: index.search(words).total for words in found} == found
    assert index.search('"recovers" -max*').ids == (1,)


def test_no_word_finds_everything_newest_first_and_pages(store: ExperienceStore) -> None:
    found = TextIndex(store).search("", limit=3)
    assert (found.ids, found.total) == ((4, 3, 2), 4)
    assert TextIndex(store).search("", limit=3, offset=3).ids == (1,)


def test_notes_are_kept_ones_of_different_heuristics_the_most_similar_first(store: ExperienceStore) -> None:
    memory = Memory.open(store.path)
    assert memory.count == 3
    notes = memory.notes("Zoe warms 5 plates and recovers 2", k=5)
    assert {notes[0].id, notes[1].id} < {1, 2, 3}
    assert {note.heuristic.split()[2] for note in notes if note.heuristic} == {"recovers", "warms"}
    assert len(memory.notes("Zoe warms 5 plates and recovers 2", k=1)) == 1


def test_a_number_that_both_problems_hold_makes_no_note(store: ExperienceStore) -> None:
    assert Memory.open(store.path).notes("8 3 2", k=2) == []


def test_a_store_without_a_kept_experience_is_refused(tmp_path: Path, make_replayed: Callable[..., Replayed]) -> None:
    with ExperienceStore.create(tmp_path / "none.db") as store:
        store.write_step(1, [make_replayed(attempts=(False,))])
    with pytest.raises(ValueError, match="expected kept experiences to retrieve from, got none"):
        Memory.open(tmp_path / "none.db")
