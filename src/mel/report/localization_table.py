"""For a terminal: how well first wrong steps were named, a table for each source."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.table import Table

from mel.evaluate.localization_result import HEADINGS, LocalizationResult, by_source_name, cells


def localization_tables(result: LocalizationResult) -> Iterator[Table]:
    """A table for each source."""
    for source, rows in by_source_name(result.scores).items():
        table = Table(title=f"{source}, percent", title_style="dim", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for heading in HEADINGS:
            table.add_column(heading, justify="left" if heading == HEADINGS[0] else "right", no_wrap=True)
        for row in rows:
            table.add_row(*cells(row))
        yield table
