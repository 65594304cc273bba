"""From the annotated fields of a value to the columns of an SQLite table: its schema, its rows, and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cache
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from mel.types import Step

Spans = tuple[tuple[int, int], ...]
"""Half-open character spans of the numbered steps of a solution, first step first."""

Stored = str | int | float | None
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Column:
    """What the annotation of a field says: `critique: Annotated[str | None, Column("experience.critique")]`.

    The field's type settles how it is stored; None in it makes the column nullable.

    Args:
        of: from what is written to the field's value: a path of attributes, None where one on the way is None, or a
            function.
        name: of the column, where the field's own means something else in SQL; empty: the field's.
        tracked: stands in the table that trackers get.
        page: `drawn` by a part of the report page made for it, `listed` there by its name, or `left out`.
    """

    of: str | Callable[[Any], object]
    _: KW_ONLY
    name: str = ""
    tracked: bool = True
    page: Literal["drawn", "listed", "left out"] = "listed"


@dataclass(frozen=True, slots=True)
class _Kind:
    """How values of one Python type are stored."""

    name: str
    sql: str
    write: Callable[[Any], Stored]
    read: Callable[[Any], object]


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedColumn:
    """A column with everything that its field says of it."""

    field: str
    name: str
    sql: str
    meant: Column
    kind: _Kind

    @property
    def is_nullable(self) -> bool:
        return not self.sql.endswith("NOT NULL")

    def value(self, source: object) -> Any:
        """The field's value of what is written."""
        of = self.meant.of
        return _follow(source, of) if isinstance(of, str) else of(source)

    def write(self, source: object) -> Stored:
        """The stored value of what is written."""
        value = self.value(source)
        return None if value is None else self.kind.write(value)

    def read(self, row: sqlite3.Row) -> object:
        """The field's value of a stored row."""
        # A store that was written before the column was added has none of it.
        value = row[self.name] if self.name in row.keys() or not self.is_nullable else None  # noqa: SIM118
        return None if value is None else self.kind.read(value)


@cache
def columns_of(value: type) -> tuple[NamedColumn, ...]:
    """The columns of a value's type, in the order of its fields; fields without a `Column` have none."""
    found = []
    for field, hint in get_type_hints(value, include_extras=True).items():
        if get_origin(hint) is not Annotated:
            continue
        kind, *notes = get_args(hint)
        meant = next((note for note in notes if isinstance(note, Column)), None)
        if meant is not None:
            found.append(_named(field, kind, meant))
    return tuple(found)


def definitions(value: type) -> str:
    """The columns as `CREATE TABLE` takes them."""
    return ", ".join(f"{c.name} {c.sql}" for c in columns_of(value))


def insertion(table: str, value: type, *, keys: Sequence[str] = ()) -> str:
    """An INSERT of `keys`, then of the columns."""
    names = [*keys, *(c.name for c in columns_of(value))]
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


def row_of(source: object, value: type) -> tuple[Stored, ...]:
    """The stored values of the columns."""
    return tuple(column.write(source) for column in columns_of(value))


def value_of(row: sqlite3.Row, value: type[T], **others: object) -> T:
    """The value of a stored row; `others` are its fields that are no columns."""
    return value(**{column.field: column.read(row) for column in columns_of(value)}, **others)


def _named(field: str, kind: Any, meant: Column) -> NamedColumn:
    parts = [part for part in get_args(kind) if part is not NoneType]
    is_nullable = NoneType in get_args(kind)
    stored = _KINDS[parts[0] if is_nullable else kind]
    sql = stored.sql if is_nullable else f"{stored.sql} NOT NULL"
    return NamedColumn(field=field, name=meant.name or field, sql=sql, meant=meant, kind=stored)


def _follow(source: object, path: str) -> object:
    for name in path.split("."):
        if source is None:
            return None
        source = getattr(source, name)
    return source


def storable(text: str) -> str:
    """Text that UTF-8 can hold: a byte-level tokenizer can decode to half a surrogate pair, which SQLite refuses."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _spans(steps: Sequence[Step]) -> str:
    return json.dumps([[s.start, s.end] for s in steps])


def _read_spans(text: str) -> Spans:
    return tuple((start, end) for start, end in json.loads(text))


_KINDS: dict[object, _Kind] = {
    int: _Kind("int", "INTEGER", int, int),
    float: _Kind("float", "REAL", float, float),
    bool: _Kind("bool", "INTEGER", int, bool),
    str: _Kind("str", "TEXT", storable, str),
    Spans: _Kind("spans", "TEXT", _spans, _read_spans),
}
