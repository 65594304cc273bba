"""The check of a training set, for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table

from mel.evaluate.data_check import DataCheck, Lengths

_BAR = 30


def data_check_table(check: DataCheck) -> Group:
    """Three tables: rows and drops, prompt lengths, overlap with every benchmark."""
    return Group(*(_table(title, header, rows) for title, header, rows in _parts(check)))


def data_check_markdown(check: DataCheck) -> str:
    """The same tables as Markdown."""
    blocks = []
    for title, header, rows in _parts(check):
        lines = [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)]
        blocks.append("\n".join([f"### {title}", "", *lines]))
    return "\n\n".join(blocks) + "\n"


Part = tuple[str, list[str], list[list[str]]]


def _parts(check: DataCheck) -> list[Part]:
    parts = [(f"{check.task}, split {check.split}", ["", "rows"], _rows(check))]
    if check.lengths is not None:
        parts.append(("Prompt length in tokens", ["up to", "prompts", ""], _lengths(check.lengths)))
    if check.overlaps:
        header = ["benchmark", "problems", "contained", "share", "too short to tell"]
        parts.append(("Benchmark problems in the training set (half of the 13-grams)", header, _overlaps(check)))
    return parts


def _rows(check: DataCheck) -> list[list[str]]:
    return [
        ["at the source", f"{check.rows:,}"],
        ["different questions", f"{check.unique:,}"],
        ["questions with more than one gold", f"{check.conflicts:,}"],
        *([f"dropped: {reason}", f"{count:,}"] for reason, count in sorted(check.dropped.items())),
        ["problems to train on", f"{check.problems:,}"],
    ]


def _lengths(lengths: Lengths) -> list[list[str]]:
    most = max(lengths.histogram.values())
    rows = [
        [f"{bound:,}", f"{count:,}", "█" * round(_BAR * count / most)] for bound, count in lengths.histogram.items()
    ]
    rows.append(["median, 95 %", f"{lengths.median:,}, {lengths.p95:,}", f"mean {lengths.mean:.1f}"])
    rows.append(["longest", f"{lengths.longest:,}", ""])
    if lengths.limit is not None:
        rows.append([f"over {lengths.limit:,}", f"{lengths.too_long:,}", "longer than the limit"])
    return rows


def _overlaps(check: DataCheck) -> list[list[str]]:
    return [
        [
            o.benchmark,
            str(o.problems),
            str(len(o.ids)),
            f"{100 * len(o.ids) / max(1, o.problems):.1f} %",
            str(o.too_short),
        ]
        for o in check.overlaps
    ]


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for at, name in enumerate(header):
        table.add_column(name, justify="right" if at and name else "left")
    for row in rows:
        table.add_row(*row)
    return table
