"""`mel report`, `mel browse` and `mel experiences`: what is done with runs that exist.

`mel.cli` adds the commands and ``experiences`` to the program.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from mel.cli_options import Json

experiences = typer.Typer(help="Browse the meta-experiences of a run.", no_args_is_help=True)

Format = Literal["parquet", "jsonl"]
RunPath = Annotated[Path, typer.Argument(help="A run directory.")]


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run directories; differences are to the first one.")],
    output: Annotated[
        Path | None, typer.Option(help="The page to write (default report.html in the first run).")
    ] = None,
    json: Json = False,
) -> None:
    """Compare runs and evaluations: a table here, and one offline HTML page with curves, ledger and experiences."""
    from mel.report.page import build
    from mel.report.plain import as_json, comparison_values
    from mel.report.results_table import results_table

    if json:
        typer.echo(as_json(comparison_values(runs)))
    else:
        Console().print(results_table(runs))
    Console(stderr=json).print(f"report: {build(runs, output or runs[0] / 'report.html')}", soft_wrap=True)


def browse(
    run: RunPath,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes any that is free.")] = 8642,
) -> None:
    """Browse the meta-experiences of a run: search, filters and links, for a browser on this machine only."""
    from mel.report.browse.server import browse as run_server

    run_server(run, port=port, console=Console())


@experiences.command("list")
def list_experiences(
    run: RunPath,
    kept: Annotated[
        bool | None, typer.Option("--kept/--not-kept", help="Only those that were kept, or only those that were not.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Only those with this reason, such as failed_replay.")] = None,
    search: Annotated[str | None, typer.Option(help="Only those with this text in problem or experience.")] = None,
    page: Annotated[int, typer.Option(min=1, help="Page of the list.")] = 1,
    json: Json = False,
) -> None:
    """List the meta-experiences of a run, newest first."""
    from mel.report.plain import as_json
    from mel.report.terminal import experiences_page, experiences_table

    found = experiences_page(run, kept=kept, reason=reason, search=search, page=page)
    if json:
        typer.echo(as_json(found))
    else:
        Console().print(experiences_table(found))


@experiences.command("show")
def show_experience(
    run: RunPath,
    number: Annotated[int, typer.Argument(min=1, max=2**63 - 1, help="Its number in `mel experiences list`.")],
    json: Json = False,
) -> None:
    """Show one meta-experience with both solutions and its replay."""
    from mel.report.plain import as_json
    from mel.report.terminal import experience, experience_panel

    if json:
        typer.echo(as_json(experience(run, number)))
    else:
        Console().print(experience_panel(run, number))


@experiences.command("score")
def score_experiences(
    run: RunPath,
    model: Annotated[
        str | None, typer.Option(help="Model of the second NLL (default the trained model of the run).")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Experiences per forward pass.")] = 16,
    json: Json = False,
) -> None:
    """Add to every kept experience its NLL under the policy from before it was learned and under the trained one."""
    from mel.report.plain import as_json
    from mel.run.likelihood import score_experiences as score

    console = Console(stderr=json)
    found = score(run, model=model, batch_size=batch_size, console=console)
    if json:
        typer.echo(as_json(found))
    else:
        console.print(found.sentence, highlight=False, soft_wrap=True)


@experiences.command("export")
def export_experiences(
    run: RunPath,
    to: Annotated[Format, typer.Option(help="Format of the files; `datasets` loads both.")] = "parquet",
    output: Annotated[Path | None, typer.Option(help="A new directory (default <run>/export-<format>).")] = None,
) -> None:
    """Write all meta-experiences as a data set with a data card."""
    from mel.record.export import export

    Console().print(f"experiences: {export(run, to, output or run / f'export-{to}')}", soft_wrap=True)
