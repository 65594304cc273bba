"""Arms side by side for a terminal: their scores, and what they differ by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from mel.evaluate.scores import Interval
from mel.report.arms import read_arms
from mel.report.comparison import WIDE, Cell, Comparison, compare

TITLE = "percent; + and - against the first arm, paired by problem, [95 % interval]"


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultsTable:
    """A comparison in the first form that is not cut off: arms as rows, as columns, or a table for each evaluation."""

    comparison: Comparison

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        forms = (_wide(self.comparison), _tall(self.comparison))
        unbound = options.update(max_width=10_000)  # rich calls nothing wider than the window
        for table in forms if len(self.comparison.columns) <= WIDE else reversed(forms):
            if Measurement.get(console, unbound, table).minimum <= options.max_width:
                yield table
                return
        evaluations = dict.fromkeys(column.evaluation for column in self.comparison.columns)
        yield from (_wide(_only(self.comparison, name)) for name in evaluations)


def results_table(runs: Sequence[str | Path]) -> ResultsTable:
    """Pass@1, Avg@k and Pass@k per evaluation in percent, and what training cost.

    Raises:
        ValueError: a path that is no run directory.
    """
    return ResultsTable(comparison=compare(read_arms(runs)))


def _only(comparison: Comparison, evaluation: str) -> Comparison:
    """The columns of one evaluation."""
    places = [i for i, column in enumerate(comparison.columns) if column.evaluation == evaluation]
    rows = [replace(row, cells=tuple(row.cells[i] for i in places)) for row in comparison.rows]
    return Comparison(columns=tuple(comparison.columns[i] for i in places), rows=tuple(rows))


def _wide(comparison: Comparison) -> Table:
    table = Table(title=TITLE, title_style="dim", box=box.SIMPLE_HEAD)
    if not comparison.columns:
        table.title, table.caption = None, "no evaluation is finished yet"
    names = [row.arm.replace(" (", "\n(") for row in comparison.rows]
    longest = max(len(line) for name in names for line in name.splitlines())
    table.add_column("arm", style="bold", min_width=longest, no_wrap=True)
    for column in comparison.columns:
        table.add_column(f"{escape(column.evaluation)}\n{column.label}", justify="right")
    for heading in ("tokens", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, row in zip(names, comparison.rows, strict=True):
        seeds = f"\n{len(row.seeds)} seeds" if len(row.seeds) > 1 else ""
        cells = [_cell(cell) for cell in row.cells]
        table.add_row(Text(name + seeds), *cells, _number(row.tokens), _number(row.seconds))
    return table


def _tall(comparison: Comparison) -> Table:
    table = Table(title=TITLE, title_style="dim", box=box.SIMPLE_HEAD)
    table.add_column("", style="bold", no_wrap=True)
    longest = max(len(word) for row in comparison.rows for word in row.arm.split())
    for row in comparison.rows:
        table.add_column(escape(row.arm), justify="right", min_width=longest)
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
