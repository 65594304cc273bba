"""The command line: every command is one call into the package, and bad input ends in one line of advice."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mel import cli_miniature, cli_models, cli_tales

app = typer.Typer(
    name="mel",
    help="Meta-Experience Learning for RLVR: learn from the step where a right and a wrong attempt part.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
experiences = typer.Typer(help="Browse the meta-experiences of a run.", no_args_is_help=True)
data = typer.Typer(help="Look at training data.", no_args_is_help=True)
app.add_typer(experiences, name="experiences")
app.add_typer(data, name="data")
app.add_typer(cli_miniature.app, name="miniature")
app.add_typer(cli_tales.app, name="tales")

Changes = Annotated[list[str] | None, typer.Option("--set", help="Change a recipe key: section.key=value. Repeatable.")]
RunPath = Annotated[Path, typer.Argument(help="A run directory.")]


def main() -> None:
    """Run the command line; a `ValueError` or `OSError` is the user's to mend and shows no traceback."""
    # Before torch is loaded: two threads beside another busy process were measured up to 80 times slower than one.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        app()
    except (ValueError, OSError) as error:
        Console(stderr=True).print(f"mel: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a recipe that comes with mel.")],
    changes: Changes = None,
    output: Annotated[Path | None, typer.Option(help="Run directory; default runs/<recipe>-s<seed>.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue this run directory from its last checkpoint.")
    ] = False,
) -> None:
    """Train a recipe; the run directory holds everything it did."""
    from mel.config import load_recipe
    from mel.run import train as run

    run(load_recipe(recipe, changes or ()), output=output, resume=resume, console=Console())


app.command("eval")(cli_models.evaluate)
app.command("merge")(cli_models.merge)
app.command("import")(cli_tales.import_model)


@app.command()
def plan(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a recipe that comes with mel.")],
    gpus: Annotated[int, typer.Option(min=1, help="GPUs per node.")] = 8,
    gpu_memory: Annotated[float, typer.Option(help="GiB per GPU.")] = 80.0,
    nodes: Annotated[int, typer.Option(min=1)] = 1,
    accelerate_config: Annotated[str | None, typer.Option(help="Launch file, or the name of one of mel's.")] = None,
    changes: Changes = None,
) -> None:
    """Estimate memory per GPU and tokens per step; refuse a recipe that cannot fit."""
    from mel.config import load_recipe
    from mel.run.inspection import plan as run

    run(
        load_recipe(recipe, changes or ()),
        gpus=gpus,
        gpu_memory_gib=gpu_memory,
        nodes=nodes,
        accelerate_config=accelerate_config,
        console=Console(),
    )


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this one, as a beginning for your own.")] = None,
) -> None:
    """List the recipes that come with mel and their hardware, or print one with its launch command."""
    from mel.run.inspection import list_recipes, show_recipe

    if name is None:
        list_recipes(Console())
    else:
        show_recipe(name, Console())


@data.command("check")
def check_data(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a recipe that comes with mel.")],
    changes: Changes = None,
) -> None:
    """Show rows, drops and why, prompt lengths, and the overlap of the training set with every benchmark."""
    from mel.config import load_recipe
    from mel.run.inspection import data_check

    data_check(load_recipe(recipe, changes or ()), console=Console())


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="One run directory or several; differences are to the first.")],
    output: Annotated[
        Path | None, typer.Option(help="The page to write; default report.html in the first run.")
    ] = None,
) -> None:
    """Compare runs and evaluations: a table here, and one offline HTML page with curves, ledger and experiences."""
    from mel.report.page import build
    from mel.report.results_table import results_table

    console = Console()
    console.print(results_table(runs))
    console.print(f"report: {build(runs, output or runs[0] / 'report.html')}", soft_wrap=True)


@app.command()
def quickstart(
    output: Annotated[Path, typer.Option(help="Directory for the runs and the page.")] = Path("runs/quickstart"),
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps per arm.")] = 60,
    seed: Annotated[int, typer.Option(help="Seed of every arm.")] = 0,
    arms: Annotated[str, typer.Option(help="Recipes to compare, by name, the baseline first.")] = "grpo,recommended",
    changes: Changes = None,
) -> None:
    """Train the miniature with GRPO and with MEL side by side and show what came of it."""
    from mel.run.quickstart import quickstart as run

    run(arms.split(","), output=output, steps=steps, seed=seed, changes=changes or (), console=Console())


@app.command()
def doctor(
    self_test: Annotated[bool, typer.Option(help="Also run one training step.")] = True,
) -> None:
    """Show versions, cores, GPU and what each extra would add, and try one step."""
    from mel.run.doctor import examine

    if not examine(Console(), self_test=self_test):
        raise typer.Exit(1)


@experiences.command("list")
def list_experiences(
    run: RunPath,
    kept: Annotated[bool | None, typer.Option("--kept/--not-kept", help="Only these.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only with this reason, e.g. failed_replay.")] = None,
    search: Annotated[str | None, typer.Option(help="Only with this text in problem or experience.")] = None,
    page: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """List the meta-experiences of a run, newest first."""
    from mel.report.terminal import experiences_table

    Console().print(experiences_table(run, kept=kept, reason=reason, search=search, page=page))


@experiences.command("show")
def show_experience(run: RunPath, number: Annotated[int, typer.Argument(help="Number from `list`.")]) -> None:
    """Show one meta-experience with both solutions and its replay."""
    from mel.report.terminal import experience_panel

    Console().print(experience_panel(run, number))
