"""Arms side by side for a terminal: their scores, and what they differ by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mel.evaluate.scores import Interval
from mel.report.arms import read_arms
from mel.report.comparison import WIDE, Cell, Comparison, compare

TITLE = "percent; + and - against the first arm, paired by problem, [95 % interval]"


def results_table(runs: Sequence[str | Path]) -> Table:
    """Pass@1, Avg@k and Pass@k per evaluation in percent, and what training cost; arms are rows, or columns if need be.

    Raises:
        ValueError: a path that is no run directory.
    """
    return comparison_table(compare(read_arms(runs)))


def comparison_table(comparison: Comparison) -> Table:
    """The same of a comparison that is made already."""
    return _wide(comparison) if len(comparison.columns) <= WIDE else _tall(comparison)


def _wide(comparison: Comparison) -> Table:
    names = list(dict.fromkeys(c.evaluation for c in comparison.columns))
    table = Table(title=TITLE, title_style="dim", box=box.SIMPLE_HEAD)
    if not comparison.columns:
        table.title, table.caption = None, "no evaluation is finished yet"
    table.add_column("arm", style="bold", min_width=11)
    for column in comparison.columns:
        heading = column.label if len(names) == 1 else f"{escape(column.evaluation)}\n{column.label}"
        table.add_column(heading, justify="right")
    table.add_column("tokens", justify="right")
    table.add_column("seconds", justify="right")
    for row in comparison.rows:
        seeds = f"\n{len(row.seeds)} seeds" if len(row.seeds) > 1 else ""
        cells = [_cell(cell) for cell in row.cells]
        table.add_row(Text(row.arm + seeds), *cells, _number(row.tokens), _number(row.seconds))
    return table


def _tall(comparison: Comparison) -> Table:
    table = Table(title=TITLE, title_style="dim", box=box.SIMPLE_HEAD)
    table.add_column("", style="bold")
    for row in comparison.rows:
        table.add_column(escape(row.arm), justify="right")
    before = ""
    for number, column in enumerate(comparison.columns):
        is_new = column.evaluation != before
        before = column.evaluation
        name = Text.assemble(f"{column.evaluation}\n" if is_new else "", (column.label, "not bold dim"))
        cells = [_cell(row.cells[number]) for row in comparison.rows]
        table.add_row(name, *(Text("\n") + cell if is_new else cell for cell in cells))
    for heading, spent in (
        ("tokens", [r.tokens for r in comparison.rows]),
        ("seconds", [r.seconds for r in comparison.rows]),
    ):
        if any(value is not None for value in spent):
            table.add_row(f"training {heading}", *(_number(value) for value in spent))
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _cell(cell: Cell) -> Text:
    text = Text(_percent(cell.score))
    if cell.difference is not None:
        d = cell.difference
        style = "green" if d.low > 0 else "red" if d.high < 0 else "dim"
        text.append(f"\n{100 * d.value:+.1f} [{100 * d.low:+.1f}, {100 * d.high:+.1f}]", style=style)
    return text


def _percent(interval: Interval | None) -> str:
    return "-" if interval is None else f"{100 * interval.value:.1f}"
