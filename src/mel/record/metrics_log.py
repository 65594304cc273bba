"""Metrics of a run: one JSON line per step, appended and flushed, so that a kill loses half a line at most."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mel.record.errors import MetricsError, disk_full_as_error

Value = float | int | str | bool | None

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class MetricsLog:
    """`metrics.jsonl`: `{"step": 3, "reward/mean": 0.4, ...}` per line, steps never going back.

    Two lines of one step (training, then an evaluation) read as one. A number that JSON cannot say is kept as
    the string `NaN`, `Infinity` or `-Infinity` and read back as that number.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last_step: int | None = None

    def append(self, step: int, values: Mapping[str, Value]) -> None:
        """Add one line and flush it.

        Raises:
            MetricsError: `step` lies before the last one written, or the file ends in half a line (a killed run
                that was not truncated to its checkpoint before it went on).
            DiskFullError: nothing of this line is left in the file.
        """
        last = self._last()
        if last is not None and step < last:
            raise MetricsError(
                f"{self.path}: expected a step >= {last}, the last one logged; got {step}. To go on from an earlier "
                f"checkpoint call truncate_after({step - 1}) first"
            )
        line = json.dumps({"step": step, **{k: _to_json(v) for k, v in values.items()}}, allow_nan=False) + "\n"
        with disk_full_as_error(self.path, f"logging the metrics of step {step}"):
            _append_whole(self.path, line.encode())
        self._last_step = step

    def read(self) -> list[dict[str, Any]]:
        """One row per step in order, `{"step": 3, "reward/mean": 0.4, ...}`; half a last line is left out.

        A run that is being written, or that was killed, can end in half a line.

        Raises:
            MetricsError: a line before the last one is not a JSON object with a step.
        """
        found: dict[int, dict[str, Value]] = {}
        for step, values in self._lines()[0]:
            found.setdefault(step, {}).update(values)
        return [{"step": step, **values} for step, values in sorted(found.items())]

    def truncate_after(self, step: int) -> int:
        """Drop every line of a later step and half a last line; returns how many were dropped."""
        lines, num_half = self._lines()
        kept = [(s, v) for s, v in lines if s <= step]
        num_dropped = len(lines) - len(kept) + num_half
        if num_dropped:
            text = "".join(
                json.dumps({"step": s, **{k: _to_json(v) for k, v in values.items()}}, allow_nan=False) + "\n"
                for s, values in kept
            )
            replace_file(self.path, text, doing="truncating the metrics")
        self._last_step = kept[-1][0] if kept else None
        return num_dropped

    def _last(self) -> int | None:
        if self._last_step is None and self.path.exists():
            lines, num_half = self._lines()
            if num_half:
                raise MetricsError(
                    f"{self.path}: expected whole lines; the last one is half-written (the run was killed). Call "
                    f"truncate_after(step of the checkpoint) before appending, as --resume does"
                )
            self._last_step = lines[-1][0] if lines else None
        return self._last_step

    def _lines(self) -> tuple[list[tuple[int, dict[str, Value]]], int]:
        """The parsed whole lines and the number of half-written ones (0 or 1)."""
        raw = self.path.read_bytes() if self.path.exists() else b""
        *whole, rest = raw.split(b"\n")
        return [_parse(line, self.path, number) for number, line in enumerate(whole, 1)], int(bool(rest))


def replace_file(path: Path, text: str, *, doing: str) -> None:
    """Write a whole file so that a reader, or a kill, meets the old one or the new one and nothing between."""
    temporary = path.with_name(path.name + ".part")
    try:
        with disk_full_as_error(path, doing), temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    os.replace(temporary, path)


def _append_whole(path: Path, data: bytes) -> None:
    """Append all of `data`, or, when the disk fills up, nothing of it."""
    with path.open("ab", buffering=0) as file:
        start = file.seek(0, os.SEEK_END)
        try:
            written = 0
            while written < len(data):
                written += file.write(data[written:])
        except OSError:
            file.truncate(start)
            raise


def _parse(line: bytes, path: Path, number: int) -> tuple[int, dict[str, Value]]:
    try:
        row = json.loads(line)
        step = row.pop("step")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise MetricsError(
            f"{path}, line {number}: expected a JSON object with a step; got {line[:80]!r}. The file was changed by "
            f"something else: restore it, or delete the line"
        ) from error
    return step, {k: _NON_FINITE.get(v, v) if isinstance(v, str) else v for k, v in row.items()}


def _to_json(value: Value) -> Value:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
