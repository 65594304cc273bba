"""What a command shows, for programs: the same values as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from mel.report.arms import read_arms, read_run
from mel.report.comparison import Cell, Comparison, compare
from mel.visible import escaped


def as_json(value: object) -> str:
    """Dataclasses, mappings and sequences of numbers and text, as indented JSON; what is not finite is null.

    Characters that a terminal would obey or hide are escaped; read back, the text is the one that was written.
    """
    return escaped(json.dumps(_plain(value), indent=2, ensure_ascii=False))


def comparison_values(runs: Sequence[str | Path]) -> dict[str, Any]:
    """The table of `mel report`: arms with their scores from 0 to 1, intervals, and differences to the first arm.

    Raises:
        ValueError: a path that is no run directory.
    """
    return {"runs": [str(run) for run in runs], "arms": rows_of(compare(read_arms(runs)))}


def rows_of(comparison: Comparison) -> list[dict[str, Any]]:
    """A comparison's arms with their scores."""
    return [
        {
            "arm": row.arm,
            "seeds": row.seeds,
            "tokens": row.tokens,
            "seconds": row.seconds,
            "scores": [
                {"evaluation": column.evaluation, "score": column.label, **_cell(cell)}
                for column, cell in zip(comparison.columns, row.cells, strict=True)
            ],
        }
        for row in comparison.rows
    ]


def evaluation_values(run: str | Path, names: Sequence[str]) -> dict[str, Any]:
    """The finished evaluations of these names in a run directory, without the scores of single problems.

    Raises:
        ValueError: no run directory, or a damaged result.
    """
    found = read_run(run).after
    values = {name: _plain(found[name]) for name in names if name in found}
    for result in values.values():
        del result["scores"]
    return {"directory": str(run), "evaluations": values}


def _cell(cell: Cell) -> dict[str, Any]:
    return {**(_plain(cell.score) if cell.score else {"value": None}), "difference": cell.difference}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
