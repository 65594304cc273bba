"""Full-text search over the experiences of a run: SQLite's FTS5 with BM25, built in memory, for a store of any age."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from mel.record.experience import StoredExperience
from mel.record.sqlite_file import connect, mode_of, sqlite_errors
from mel.record.store import ExperienceStore

COLUMNS = ("problem", "right_text", "wrong_text", "critique", "heuristic", "raw")
"""What a person searches in."""

NOTES = ("problem", "heuristic")
"""What a new problem is compared to: the problems that heuristics were written about, and the heuristics."""

PAGE = 50
"""Matches looked at together when notes are sought; of one heuristic a store may hold hundreds."""

WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The best matches of a query, best first, and how many match in all."""

    ids: tuple[int, ...]
    total: int


class TextIndex:
    """An index over some columns of a store's experiences. It reads the store once and never writes to it.

    Args:
        store: its file may be written to meanwhile; what is added later is not found.
        columns: of the table of experiences.
        kept_only: leave out experiences whose replay was not accepted.
    """

    def __init__(self, store: ExperienceStore, columns: tuple[str, ...] = COLUMNS, *, kept_only: bool = False) -> None:
        self._path = store.path
        self.connection = _memory(store.path)
        """Where `temp.texts` lives; its row ids are the experiences' numbers."""
        names, where = ", ".join(columns), "WHERE is_kept" if kept_only else ""
        with sqlite_errors(store.path, "indexing the experiences"):
            # Without contents of its own it holds each text once, as the words in it.
            self.connection.execute(
                f"CREATE VIRTUAL TABLE temp.texts USING fts5({names}, content='', tokenize='unicode61')"
            )
            self.connection.execute(
                f"INSERT INTO temp.texts (rowid, {names}) SELECT id, {names} FROM experiences {where}"
            )

    def search(self, words: str, *, limit: int = 20, offset: int = 0) -> Found:
        """Experiences in which every one of these words, or a word that begins so, occurs; all if there are none."""
        return self._match(every_word(words), limit, offset)

    def similar(self, text: str, *, limit: int, offset: int = 0) -> Found:
        """Experiences that share words with the text, by BM25. Bare numbers do not count: they belong to a problem."""
        terms = [f'"{word}"' for word in dict.fromkeys(WORD.findall(text)) if not word.isdecimal()]
        return self._match(" OR ".join(terms), limit, offset) if terms else Found(ids=(), total=0)

    def close(self) -> None:
        """Free the memory."""
        self.connection.close()

    def _match(self, query: str, limit: int, offset: int) -> Found:
        where, order = ("WHERE texts MATCH ?", "rank, rowid") if query else ("", "rowid DESC")
        values = [query] if query else []
        with sqlite_errors(self._path, "searching the experiences"):
            total = self.connection.execute(f"SELECT COUNT(*) FROM temp.texts {where}", values).fetchone()[0]
            rows = self.connection.execute(
                f"SELECT rowid FROM temp.texts {where} ORDER BY {order} LIMIT ? OFFSET ?", (*values, limit, offset)
            )
            return Found(ids=tuple(row[0] for row in rows), total=total)


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """The kept experiences of a run as notes for new problems (retrieval instead of training).

    Args:
        count: experiences in it.
    """

    store: ExperienceStore
    index: TextIndex
    count: int

    @classmethod
    def open(cls, path: str | Path) -> Memory:
        """The kept experiences of that store.

        Raises:
            ValueError: no store, or none in it was kept.
        """
        store = ExperienceStore.open(path)
        index = TextIndex(store, NOTES, kept_only=True)
        count = index.search("", limit=0).total
        if not count:
            raise ValueError(f"{path}: expected kept experiences to retrieve from, got none")
        return cls(store=store, index=index, count=count)

    def notes(self, problem: str, k: int) -> list[StoredExperience]:
        """At most k experiences with different heuristics, the most similar first; none if no word is shared."""
        found: dict[str, StoredExperience] = {}
        seen = 0
        while len(found) < k and (ids := self.index.similar(problem, limit=PAGE, offset=seen).ids):
            seen += len(ids)
            for item in map(self.store.show, ids):
                found.setdefault(" ".join((item.heuristic or "").split()).casefold(), item)
        return list(found.values())[:k]


def every_word(words: str) -> str:
    """The FTS5 query for every one of these words, or a word that begins so; empty if there are none.

    What a person types is never read as FTS5's own language.
    """
    return " AND ".join(f'"{word}"*' for word in WORD.findall(words))


def _memory(path: Path) -> sqlite3.Connection:
    connection = connect(f"{path.absolute().as_uri()}?{mode_of(path)}")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection
