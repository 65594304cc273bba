"""The experience store: every candidate of every step, kept or not, in one SQLite file."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from mel.record.errors import DiskFullError, StoreBusyError, StoreError
from mel.record.schema import (
    APPLICATION_ID,
    INSERT_ATTEMPT,
    INSERT_EXPERIENCE,
    SCHEMA,
    SCHEMA_VERSION,
    SEARCHED,
    from_row,
    to_attempt_rows,
    to_row,
)
from mel.record.stored import Ledger, Page, StoredExperience
from mel.types import Replayed

_T = TypeVar("_T")

_BUSY_TIMEOUT_S = 30.0
_FULL_BELOW_BYTES = 1 << 16


class ExperienceStore:
    """`experiences.db`: written in one transaction per step, readable by others meanwhile (SQLite WAL).

    Make one with `create` or `open`. A store belongs to the thread that opened it.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def create(cls, path: str | Path) -> ExperienceStore:
        """A new, empty store.

        Raises:
            StoreError: the file exists.
            DiskFullError: there is no room for it.
        """
        path = Path(path)
        if path.exists():
            raise StoreError(f"{path}: expected no file yet; open the one that is there, or delete it")
        with _sqlite_errors(path, "creating the experience store"):
            connection = _connect(f"{path.absolute().as_uri()}?mode=rwc")
            try:
                _make_tables(connection)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    @classmethod
    def open(cls, path: str | Path) -> ExperienceStore:
        """The store in that file; read-only where the directory is.

        Raises:
            StoreError: no such file, not SQLite, damaged, another program's, or of a newer version of mel.
        """
        path = Path(path)
        if not path.is_file():
            raise StoreError(f"{path}: expected the experience store of a run; there is no such file")
        with _sqlite_errors(path, "opening the experience store"):
            connection = _connect(f"{path.absolute().as_uri()}?{_mode(path)}")
            try:
                _check(path, connection)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    def write_step(
        self,
        step: int,
        replayed: Sequence[Replayed],
        *,
        first_error: Sequence[int | None] | None = None,
        rule_truth: Sequence[bool | None] | None = None,
        rank: int = 0,
        first_index: int = 0,
    ) -> None:
        """Write all candidates of a step in one transaction; writing a step again replaces it.

        Args:
            step: the optimizer step, 1-based, that the experiences are trained in: the one their metrics are
                logged under, so that a resume truncates both alike.
            first_error: the true first wrong step of each candidate's wrong solution; None where unknown.
            rule_truth: whether each candidate's heuristic is true; None where it cannot be told.
            first_index: index of the first one; more than 0 for the second generation batch of one step.

        Raises:
            ValueError: a list of another length than `replayed`.
            DiskFullError, StoreBusyError: nothing of this step was written.
        """
        errors = _as_many("first_error", first_error, len(replayed))
        truths = _as_many("rule_truth", rule_truth, len(replayed))
        with _sqlite_errors(self.path, f"writing the experiences of step {step}"), self._connection:
            self._connection.execute(
                "DELETE FROM experiences WHERE step = ? AND rank = ? AND idx >= ?", (step, rank, first_index)
            )
            for index, (item, error, truth) in enumerate(zip(replayed, errors, truths, strict=True), first_index):
                row = to_row((step, rank, index), item, first_error=error, rule_truth=truth)
                row_id = self._connection.execute(INSERT_EXPERIENCE, row).lastrowid
                self._connection.executemany(INSERT_ATTEMPT, to_attempt_rows(row_id, item.attempts))

    def truncate_after(self, step: int) -> int:
        """Drop the experiences of every later step; returns how many were dropped."""
        with _sqlite_errors(self.path, "truncating the experiences"), self._connection:
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
        with _sqlite_errors(self.path, "reading the experiences"):
            total = self._connection.execute(f"SELECT COUNT(*) FROM experiences {where}", values).fetchone()[0]
            rows = self._connection.execute(
                f"SELECT * FROM experiences {where} ORDER BY step {order}, rank {order}, idx {order} LIMIT ? OFFSET ?",
                (*values, limit, offset),
            ).fetchall()
            return Page(items=tuple(self._with_attempts(row) for row in rows), total=total, offset=offset)

    def at(self, positions: Sequence[int]) -> tuple[StoredExperience, ...]:
        """The experiences at these positions of the whole list, oldest first; positions count from 0."""
        wanted = set(positions)
        with _sqlite_errors(self.path, "reading the experiences"):
            ids = [row["id"] for row in self._connection.execute("SELECT id FROM experiences ORDER BY step, rank, idx")]
        return tuple(self.show(number) for position, number in enumerate(ids) if position in wanted)

    def show(self, number: int) -> StoredExperience:
        """The experience with that id.

        Raises:
            ValueError: there is none.
        """
        with _sqlite_errors(self.path, "reading the experiences"):
            row = self._connection.execute("SELECT * FROM experiences WHERE id = ?", (number,)).fetchone()
            if row is None:
                raise ValueError(
                    f"{self.path} holds no experience {number}; `mel experiences list` names those it holds"
                )
            return self._with_attempts(row)

    def ledger(self) -> Ledger:
        """How many candidates got how far, over the whole run."""
        with _sqlite_errors(self.path, "counting the experiences"):
            row = self._connection.execute(
                """SELECT COUNT(*) AS candidates,
                TOTAL(failure = '') AS parsed, TOTAL(success_rate IS NOT NULL) AS replayed, TOTAL(is_kept) AS kept,
                TOTAL(failure = '' AND states_answer) AS leaks,
                TOTAL(failure = '' AND bifurcation = first_error) AS located,
                TOTAL(failure = '' AND first_error IS NOT NULL) AS locatable,
                TOTAL(failure = '' AND rule_truth = 1) AS true_rules,
                TOTAL(failure = '' AND rule_truth IS NOT NULL) AS checkable_rules FROM experiences"""
            ).fetchone()
            reasons = self._connection.execute(
                "SELECT reason, COUNT(*) FROM experiences GROUP BY reason ORDER BY COUNT(*) DESC, reason"
            ).fetchall()
        counts = {name: int(row[name]) for name in row.keys()}  # noqa: SIM118 (a Row iterates over its values)
        return Ledger(reasons=dict(map(tuple, reasons)), **counts)

    def close(self) -> None:
        """Close the file; the write-ahead log is folded into it."""
        self._connection.close()

    def __enter__(self) -> ExperienceStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _with_attempts(self, row: sqlite3.Row) -> StoredExperience:
        attempts = self._connection.execute(
            "SELECT * FROM attempts WHERE experience_id = ? ORDER BY attempt", (row["id"],)
        )
        return from_row(row, attempts)


def _connect(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    # With WAL a killed process loses nothing under NORMAL; only a power cut can cost the last steps.
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _make_tables(connection: sqlite3.Connection) -> None:
    # WAL is not available on some network file systems; then readers wait for the writer instead.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(
        f"BEGIN; {SCHEMA} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
    )


def _mode(path: Path) -> str:
    if os.access(path.parent, os.W_OK) and os.access(path, os.W_OK):
        return "mode=rw"
    # A read-only directory cannot take the shared-memory file of WAL; without a log there is nothing to share.
    return "mode=ro" if path.with_name(path.name + "-wal").exists() else "mode=ro&immutable=1"


def _check(path: Path, connection: sqlite3.Connection) -> None:
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    if application_id != APPLICATION_ID:
        raise StoreError(
            f"{path}: expected an experience store of mel (application id {APPLICATION_ID:#x}); this SQLite file "
            f"belongs to something else ({application_id:#x}). Move it away, or point at the run's own experiences.db"
        )
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != SCHEMA_VERSION:
        raise StoreError(
            f"{path}: expected schema version {SCHEMA_VERSION}; got {version}, written by "
            f"{'a newer' if version > SCHEMA_VERSION else 'an unreleased'} version of mel. Read it with that version"
        )
    # A truncated copy opens, and fails only when the missing pages are read.
    problems = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
    if problems != ["ok"]:
        raise StoreError(_damaged(path, problems[0]))


def _damaged(path: Path, what: str) -> str:
    return (
        f"{path}: expected a whole experience store (SQLite); it is damaged or no SQLite file ({what}). Restore it "
        f"from a copy, or delete it and train again; checkpoints and metrics.jsonl do not depend on it"
    )


@contextmanager
def _sqlite_errors(path: Path, doing: str) -> Iterator[None]:
    """Say in our words what SQLite could not do."""
    try:
        yield
    except sqlite3.Error as error:
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        # A disk that is too full for the shared-memory file of WAL is reported as an I/O error.
        if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_full(path)):
            raise DiskFullError(path, doing) from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreBusyError(
                f"{path}: waited {_BUSY_TIMEOUT_S:.0f} s while {doing}, another process keeps it locked. Is a second "
                f"mel train writing to this run directory? End one of them"
            ) from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise StoreError(_damaged(path, str(error))) from error
        if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            raise OSError(
                f"{path}: {error} while {doing}. The file or its directory cannot be written, or a file size limit was "
                f"reached (ulimit -f); nothing of this step was written"
            ) from error
        raise


def _is_full(path: Path) -> bool:
    return shutil.disk_usage(path.parent).free < _FULL_BELOW_BYTES


def _as_many(name: str, values: Sequence[_T | None] | None, count: int) -> Sequence[_T | None]:
    if values is None:
        return [None] * count
    if len(values) != count:
        raise ValueError(f"{name}: expected one entry per candidate, {count}; got {len(values)}")
    return values


def _escape_like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
