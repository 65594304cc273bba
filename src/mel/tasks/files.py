"""Records of one file as they are written in it: JSON, JSON lines, CSV or parquet, also compressed.

Values stay exact: an integer of any length, a decimal number whose digits a float would lose (kept as text), and every
cell of a CSV as its text (`NA` and `None` are answers too). What cannot be read is refused with the file and the row.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

Located = tuple[str, dict[str, Any]]
"""Where a record stands in its file (`line 3`), and the record."""

FORMATS = (".json", ".jsonl", ".parquet", ".csv")
_DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
}
_DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError)
_LONGEST_INTEGER = 4000  # digits; Python refuses to convert more than 4300


def format_of(path: str | Path) -> str:
    """`.json`, `.jsonl`, `.parquet` or `.csv` by the file's name, whatever follows; empty for another name."""
    return next((s for s in reversed([s.lower() for s in Path(path).suffixes]) if s in FORMATS), "")


def read_file(path: Path, *, unknown: str = "") -> list[Located]:
    """Every record of a file, in order.

    Args:
        unknown: how a file is read whose name says no format.

    Raises:
        ValueError: no such file, an unknown format, damage, another encoding than UTF-8, or no record at all.
    """
    kind = format_of(path) or unknown
    if not path.is_file():
        raise ValueError(_no_file(path))
    if not kind:
        raise ValueError(f"{path}: expected a file ending in {', '.join(FORMATS)} (or such a file with .gz)")
    if kind == ".parquet":
        found = list(_parquet(path))
    else:
        readers = {".json": _json, ".jsonl": _json_lines, ".csv": _csv}
        found = list(readers[kind](_text(path), path))
    if not found:
        raise ValueError(f"{path}: expected at least one record; the file holds none")
    return found


def _no_file(path: Path) -> str:
    if not path.is_dir():
        return f"{path}: no such file"
    inside = sorted(p.name for p in path.iterdir() if format_of(p))
    return f"{path}: expected a file, got a directory; give a file{_such_as(inside)}"


def _such_as(names: list[str]) -> str:
    return f" in it, such as {names[0]}" if names else ""


def _text(path: Path) -> str:
    data = path.read_bytes()
    decompress = _DECOMPRESS.get(path.suffix.lower())
    if decompress is not None:
        try:
            data = decompress(data)
        except _DAMAGED as error:
            raise ValueError(f"{path}: expected a whole {path.suffix} file; it cannot be unpacked ({error})") from error
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ValueError(f"{path}: expected UTF-8, got UTF-16: convert it, iconv -f utf-16 -t utf-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}, line {line}: expected UTF-8, got the byte 0x{data[error.start]:02x}: convert the file, for "
            "example iconv -f latin1 -t utf-8"
        ) from error


def _json_lines(text: str, path: Path) -> Iterator[Located]:
    # Only newlines end a record: JSON text may hold other characters that Python counts as line ends.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"line {number}", _object(_parse(line, path, f"line {number}"), path, f"line {number}")


def _json(text: str, path: Path) -> Iterator[Located]:
    """A list of objects; or, under the same ending, one object per line."""
    if not text.lstrip().startswith("["):
        yield from _json_lines(text, path)
        return
    for number, record in enumerate(_parse(text, path, "the list of records"), 1):
        yield f"record {number}", _object(record, path, f"record {number}")


def _parse(text: str, path: Path, where: str) -> Any:
    try:
        return json.loads(text, parse_int=_integer, parse_float=_number)
    except ValueError as error:
        raise ValueError(f"{path}, {where}: expected JSON; got {text.strip()[:80]!r} ({error})") from error


def _object(found: Any, path: Path, where: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ValueError(f"{path}, {where}: expected a JSON object; got {json.dumps(found, default=str)[:80]}")
    return found


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else digits


def _number(digits: str) -> float | str:
    found = float(digits)
    return found if Decimal(digits) == Decimal(repr(found)) else digits


def _csv(text: str, path: Path) -> Iterator[Located]:
    csv.field_size_limit(max(len(text), 131_072))
    rows = csv.reader(StringIO(text, newline=""))
    header = next((row for row in rows if row), [])
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise ValueError(f"{path}, line 1: expected every column once; got {', '.join(repeated)} more often")
    for row in rows:
        where = f"line {rows.line_num}"
        if not row:
            continue
        if len(row) != len(header):
            raise ValueError(f"{path}, {where}: expected the header's {len(header)} cells; got {len(row)}")
        yield where, dict(zip(header, row, strict=True))


def _parquet(path: Path) -> Iterable[Located]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{path}: expected a parquet file; it cannot be read ({str(error)[:200]})") from error
    return map(_numbered, enumerate(table.to_pylist(), 1))


def _numbered(record: tuple[int, dict[str, Any]]) -> Located:
    return f"row {record[0]}", record[1]
