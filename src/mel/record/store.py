"""The experience store: every candidate of every step, kept or not, in one SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from mel.record.columns import columns_of, definitions, insertion, row_of, value_of
from mel.record.errors import StoreError
from mel.record.experience import SEARCHED, Made, Page, StoredAttempt, StoredExperience
from mel.record.ledger import COUNTED, Ledger
from mel.record.sqlite_file import check, connect, make_tables, mode_of, sqlite_errors
from mel.types import Replayed

When = Literal["then", "now"]
"""Which of its two NLLs: under a policy from before an experience was learned, or under a later one."""

ATTEMPT_KEYS = ("experience_id", "attempt")


def schema(experience: type = StoredExperience) -> str:
    """The tables of a new store."""
    return f"""
CREATE TABLE experiences (id INTEGER PRIMARY KEY, {definitions(experience)}, UNIQUE (step, rank, idx));
CREATE INDEX by_kept ON experiences (is_kept, step);
CREATE INDEX by_reason ON experiences (reason, step);
CREATE INDEX by_problem ON experiences (problem_id, step);
CREATE TABLE attempts (
    experience_id INTEGER NOT NULL REFERENCES experiences (id) ON DELETE CASCADE, attempt INTEGER NOT NULL,
    {definitions(StoredAttempt)}, PRIMARY KEY (experience_id, attempt)
) WITHOUT ROWID;
"""


class ExperienceStore:
    """`experiences.db`: written in one transaction per step, readable by others meanwhile (SQLite WAL).

    Make one with `create` or `open`. A store belongs to the thread that opened it.

    Args:
        of: what a row becomes; its annotated fields are the columns.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, of: type[StoredExperience] = StoredExperience
    ) -> None:
        self.path = path
        self._connection = connection
        self._of = of
        self._is_complete = False

    @classmethod
    def create(cls, path: str | Path, of: type[StoredExperience] = StoredExperience) -> ExperienceStore:
        """A new, empty store.

        Raises:
            StoreError: the file exists.
            DiskFullError: there is no room for it.
        """
        path = Path(path)
        if path.exists():
            raise StoreError(f"{path}: expected no file yet; open the one that is there, or delete it")
        with sqlite_errors(path, "creating the experience store"):
            connection = connect(f"{path.absolute().as_uri()}?mode=rwc")
            try:
                make_tables(connection, schema(of))
            except BaseException:
                connection.close()
                raise
        return cls(path, connection, of)

    @classmethod
    def open(cls, path: str | Path, of: type[StoredExperience] = StoredExperience) -> ExperienceStore:
        """The store in that file; read-only where the directory is.

        Raises:
            StoreError: no such file, not SQLite, damaged, another program's, or of a newer version of mel.
        """
        path = Path(path)
        if not path.is_file():
            raise StoreError(f"{path}: expected the experience store of a run; there is no such file")
        with sqlite_errors(path, "opening the experience store"):
            connection = connect(f"{path.absolute().as_uri()}?{mode_of(path)}")
            try:
                check(path, connection)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection, of)

    def write_step(self, step: int, replayed: Sequence[Replayed], *, rank: int = 0, first_index: int = 0) -> None:
        """Write all candidates of a step in one transaction; writing a step again replaces it.

        Args:
            step: the optimizer step, 1-based, that the experiences are trained in: the one their metrics are
                logged under, so that a resume truncates both alike.
            first_index: index of the first one; more than 0 for the second generation batch of one step.

        Raises:
            DiskFullError, StoreBusyError: nothing of this step was written.
        """
        self._complete()
        insert = insertion("experiences", self._of)
        insert_attempt = insertion("attempts", StoredAttempt, keys=ATTEMPT_KEYS)
        with sqlite_errors(self.path, f"writing the experiences of step {step}"), self._connection:
            self._connection.execute(
                "DELETE FROM experiences WHERE step = ? AND rank = ? AND idx >= ?", (step, rank, first_index)
            )
            for index, item in enumerate(replayed, first_index):
                made = Made(step=step, rank=rank, index=index, replayed=item)
                number = self._connection.execute(insert, row_of(made, self._of)).lastrowid
                attempts = [(number, i, *row_of(a, StoredAttempt)) for i, a in enumerate(item.attempts)]
                self._connection.executemany(insert_attempt, attempts)

    def set_nll(self, when: When, of: str, nlls: Mapping[int, float]) -> None:
        """Write the NLL of experiences under a policy of that name, in one transaction; what was there is replaced.

        Args:
            nlls: number of an experience -> nats per token.

        Raises:
            DiskFullError, StoreBusyError: nothing was written.
        """
        self._complete()
        update = f"UPDATE experiences SET nll_{when} = ?, nll_{when}_of = ? WHERE id = ?"
        with sqlite_errors(self.path, "writing the likelihood of experiences"), self._connection:
            self._connection.executemany(update, [(nll, of, number) for number, nll in nlls.items()])

    def truncate_after(self, step: int) -> int:
        """Drop the experiences of every later step; returns how many were dropped."""
        with sqlite_errors(self.path, "truncating the experiences"), self._connection:
            return self._connection.execute("DELETE FROM experiences WHERE step > ?", (step,)).rowcount

    def list(
        self,
        *,
        step: int | None = None,
        kept: bool | None = None,
        reason: str | None = None,
        problem: str | None = None,
        search: str | None = None,
        newest_first: bool = False,
        offset: int = 0,
        limit: int = 20,
    ) -> Page:
        """Experiences in the order they were made; every condition given must hold.

        Args:
            problem: a problem id.
            search: text that occurs in the problem, either solution or what was written about them; letters a-z
                match in either case.
            limit: at most so many; negative for all.
        """
        columns = {"step": step, "is_kept": kept, "reason": reason, "problem_id": problem}
        conditions = [f"{name} = ?" for name, value in columns.items() if value is not None]
        values: list[object] = [value for value in columns.values() if value is not None]
        if search:
            conditions.append("(" + " OR ".join(f"{c} LIKE ? ESCAPE '\\'" for c in SEARCHED) + ")")
            values += [f"%{_escape_like(search)}%"] * len(SEARCHED)
        order = "DESC" if newest_first else "ASC"
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        with sqlite_errors(self.path, "reading the experiences"):
            total = self._connection.execute(f"SELECT COUNT(*) FROM experiences {where}", values).fetchone()[0]
            rows = self._connection.execute(
                f"SELECT * FROM experiences {where} ORDER BY step {order}, rank {order}, idx {order} LIMIT ? OFFSET ?",
                (*values, limit, offset),
            ).fetchall()
            return Page(items=tuple(self._with_attempts(row) for row in rows), total=total, offset=offset)

    def at(self, positions: Sequence[int]) -> tuple[StoredExperience, ...]:
        """The experiences at these positions of the whole list, oldest first; positions count from 0."""
        wanted = set(positions)
        with sqlite_errors(self.path, "reading the experiences"):
            ids = [row["id"] for row in self._connection.execute("SELECT id FROM experiences ORDER BY step, rank, idx")]
        return tuple(self.show(number) for position, number in enumerate(ids) if position in wanted)

    def show(self, number: int) -> StoredExperience:
        """The experience with that id.

        Raises:
            ValueError: there is none.
        """
        with sqlite_errors(self.path, "reading the experiences"):
            row = self._connection.execute("SELECT * FROM experiences WHERE id = ?", (number,)).fetchone()
            if row is None:
                raise ValueError(
                    f"{self.path} holds no experience {number}; `mel experiences list` names those it holds"
                )
            return self._with_attempts(row)

    def ledger(self) -> Ledger:
        """How many candidates got how far, over the whole run."""
        columns = ", ".join(COUNTED)
        with sqlite_errors(self.path, "counting the experiences"):
            alike = f"SELECT {columns}, COUNT(*) AS number FROM experiences GROUP BY {columns}"
            return Ledger.of(self._connection.execute(alike))

    def close(self) -> None:
        """Close the file; the write-ahead log is folded into it."""
        self._connection.close()

    def __enter__(self) -> ExperienceStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _complete(self) -> None:
        """Add the columns that a store lacks which an earlier version began; they are empty in its rows."""
        if self._is_complete:
            return
        with sqlite_errors(self.path, "looking at the columns of the experience store"), self._connection:
            there = {row["name"] for row in self._connection.execute("PRAGMA table_info(experiences)")}
            for column in columns_of(self._of):
                if column.name not in there:
                    self._connection.execute(f"ALTER TABLE experiences ADD COLUMN {column.name} {column.sql}")
        self._is_complete = True

    def _with_attempts(self, row: sqlite3.Row) -> StoredExperience:
        attempts = self._connection.execute(
            "SELECT * FROM attempts WHERE experience_id = ? ORDER BY attempt", (row["id"],)
        )
        made = tuple(value_of(a, StoredAttempt) for a in attempts)
        return value_of(row, self._of, id=row["id"], attempts=made)


def _escape_like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
