"""experiences.db as a file: how it is opened and checked, and what SQLite's errors mean in our words."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mel.record.errors import DiskFullError, StoreBusyError, StoreError

APPLICATION_ID = 0x4D454C31
"""`MEL1`: what tells our file from any other SQLite database."""

SCHEMA_VERSION = 1

_BUSY_TIMEOUT_S = 30.0
_FULL_BELOW_BYTES = 1 << 16


def connect(uri: str) -> sqlite3.Connection:
    """A connection that waits for a lock and answers with named rows."""
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    # With WAL a killed process loses nothing under NORMAL; only a power cut can cost the last steps.
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def make_tables(connection: sqlite3.Connection, schema: str) -> None:
    """Make the tables of a new file and mark it as ours."""
    # WAL is not available on some network file systems; then readers wait for the writer instead.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(
        f"BEGIN; {schema} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
    )


def mode_of(path: Path) -> str:
    """How to open it: to write where that is possible."""
    if os.access(path.parent, os.W_OK) and os.access(path, os.W_OK):
        return "mode=rw"
    # A read-only directory cannot take the shared-memory file of WAL; without a log there is nothing to share.
    return "mode=ro" if path.with_name(path.name + "-wal").exists() else "mode=ro&immutable=1"


def check(path: Path, connection: sqlite3.Connection) -> None:
    """Refuses what is no whole store of this version.

    Raises:
        StoreError: another program's file, of a newer version, or damaged.
    """
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
def sqlite_errors(path: Path, doing: str) -> Iterator[None]:
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
