"""For a terminal: how well first wrong steps were named, a table for each source."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.table import Table

from mel.evaluate.localization_result import HEADINGS, LocalizationResult, about, by_source_name, cells


def localization_tables(result: LocalizationResult) -> Iterator[Table]:
    """A table for each source; the last one says how all were made."""
    groups = by_source_name(result.scores)
    for number, (source, rows) in enumerate(groups.items(), 1):
        table = Table(title=f"{source}, percent", title_style="dim", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for heading in HEADINGS:
            table.add_column(heading, justify="left" if heading == HEADINGS[0] else "right", no_wrap=True)
        for row in rows:
            table.add_row(*cells(row))
        table.caption = "\n".join(about(result)) if number == len(groups) else None
        yield table
