"""The experiences of a run to be found by words and by facts about them, both held in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mel.record.ledger import KEPT
from mel.record.search import Found, TextIndex, every_word
from mel.record.sqlite_file import sqlite_errors
from mel.record.store import ExperienceStore


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """What is looked for; every condition given must hold.

    Args:
        words: each must occur, or a word that begins so; in any case.
        verdict: `kept`, or why it was not kept; empty for all, `dropped` for all that were not kept.
        concept: what the first wrong step turns on.
        step: the optimizer step it was made for.
        problem: a problem's id.
    """

    words: str = ""
    verdict: str = ""
    concept: str = ""
    step: int | None = None
    problem: str = ""


DROPPED = "dropped"
"""The verdict of a query that stands for every reason but `kept`."""


class Library:
    """A store with an index of its words and of what can be filtered by. It reads the store once and never writes.

    Like the store it belongs to the thread that made it. What is added to the store later is not found.
    """

    def __init__(self, store: ExperienceStore) -> None:
        self.store = store
        self._index = TextIndex(store)
        self._connection = self._index.connection
        with sqlite_errors(store.path, "indexing the experiences"):
            there = {row["name"] for row in self._connection.execute("PRAGMA table_info(experiences)")}
            concept = "concept" if "concept" in there else "NULL"
            self._connection.executescript(f"""
                CREATE TABLE temp.facts AS SELECT id, step, is_kept, reason, problem_id, {concept} AS concept
                FROM experiences;
                CREATE UNIQUE INDEX temp.facts_id ON facts (id);
                CREATE INDEX temp.facts_reason ON facts (reason);
                CREATE INDEX temp.facts_step ON facts (step);
            """)

    def find(self, query: Query, *, limit: int, offset: int = 0) -> Found:
        """The matches, newest first: in the order of the table SQLite stops at the end of the page."""
        words, (where, values) = every_word(query.words), _conditions(query)
        table, key = "temp.facts", "id"
        if words:
            table, key, values = "temp.texts", "rowid", [words, *values]
            where = f"texts MATCH ? {f'AND rowid IN (SELECT id FROM temp.facts WHERE {where})' if where else ''}"
        source = f"FROM {table} WHERE {where or 'TRUE'}"
        with sqlite_errors(self.store.path, "searching the experiences"):
            total = self._connection.execute(f"SELECT COUNT(*) {source}", values).fetchone()[0]
            rows = self._connection.execute(
                f"SELECT {key} {source} ORDER BY {key} DESC LIMIT ? OFFSET ?", (*values, limit, offset)
            )
            return Found(ids=tuple(row[0] for row in rows), total=total)

    def counts(self, column: str) -> Mapping[str, int]:
        """Value -> number of experiences, most frequent first, of `reason` or `concept`; those without one aside."""
        with sqlite_errors(self.store.path, "counting the experiences"):
            rows = self._connection.execute(
                f"SELECT {column}, COUNT(*) FROM temp.facts WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
            )
            return {row[0]: row[1] for row in rows}

    def close(self) -> None:
        """Free the memory and close the store."""
        self._index.close()
        self.store.close()


def _conditions(query: Query) -> tuple[str, list[object]]:
    """What the facts must be, as SQL, and its values."""
    equal = {"concept": query.concept, "problem_id": query.problem, "step": query.step}
    if query.verdict not in ("", DROPPED):
        equal["reason"] = query.verdict
    wanted = {column: value for column, value in equal.items() if value not in ("", None)}
    parts = [f"{column} = ?" for column in wanted]
    if query.verdict in (KEPT, DROPPED):
        parts.append("is_kept" if query.verdict == KEPT else "NOT is_kept")
    return " AND ".join(parts), list(wanted.values())
