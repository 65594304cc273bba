"""What `mel --help` shows: every command on one line, in groups, on one screen."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

TRAIN, EVALUATE, RUNS = "train and study", "evaluate", "look at runs"
MODELS, DATA, MACHINE = "models", "data", "machine"
GROUPS = (TRAIN, EVALUATE, RUNS, MODELS, DATA, MACHINE)
"""Headings in their order; a command names its own with `rich_help_panel=`."""

HINT = "Start with `mel quickstart`; `mel COMMAND --help` shows what a command takes."


class GroupedHelp(TyperGroup):
    """A program whose help is one table of its commands; a box for each group would take two screens."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help page."""
        options = [name for parameter in self.get_params(ctx) for name in parameter.opts if name.startswith("--")]
        console = Console(highlight=False)
        console.print(Text("Usage: mel COMMAND", style="bold"))
        console.print(Text(f"{(self.help or '').split(':')[0]}\n"))
        console.print(self._table())
        console.print(Text(f"\nOptions: {', '.join(options)}", style="dim"))
        console.print(Text(HINT, style="dim"))

    def _table(self) -> Table:
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
        for style in ("dim", "bold cyan"):
            table.add_column(style=style, no_wrap=True, min_width=11)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for heading in GROUPS:
            everything: dict[str, Any] = dict(self.commands)  # typer's own commands know their panel
            commands = {name: c for name, c in everything.items() if (c.rich_help_panel or MACHINE) == heading}
            for number, (name, command) in enumerate(commands.items()):
                about = (command.short_help or command.help or "").strip().split("\n")[0]
                table.add_row(heading if number == 0 else "", name, Text(about))
        return table
