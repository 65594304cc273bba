"""`mel train` and what else is done with a recipe: `quickstart`, `study`, `plan`, `recipes` and `data`.

`mel.cli` adds the commands and ``data`` to the program.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mel.cli_options import Changes, Json, positive, seed_option
from mel.naming import comma_separated

data = typer.Typer(help="Look at training data.", no_args_is_help=True)


def quickstart(
    output: Annotated[Path, typer.Option(help="Directory for the runs and the page.")] = Path("runs/quickstart"),
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps per arm.")] = 60,
    seed: Annotated[int, seed_option("Seed of every arm.")] = 0,
    arms: Annotated[
        str, typer.Option(help="Recipes to compare, separated by commas, the baseline first.")
    ] = "grpo,recommended",
    changes: Changes = None,
) -> None:
    """Train the miniature with GRPO and with MEL side by side, and compare the results."""
    from mel.run.quickstart import quickstart as run

    run(
        comma_separated(arms, is_one=lambda path: Path(path).is_file()),
        output=output,
        steps=steps,
        seed=seed,
        changes=changes or (),
        console=Console(),
    )


def train(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a recipe that comes with mel.")],
    changes: Changes = None,
    output: Annotated[Path | None, typer.Option(help="Run directory (default runs/<recipe>-s<seed>).")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run from its last checkpoint.")] = False,
) -> None:
    """Train a recipe into a run directory, which records everything. The exit status is 143 if SIGTERM stopped it."""
    from mel.config import load_recipe
    from mel.record import RunDirectory
    from mel.run import train as run

    path = run(load_recipe(recipe, changes or ()), output=output, resume=resume, console=Console())
    if RunDirectory.open(path).status.state == "stopped":
        raise typer.Exit(128 + signal.SIGTERM)


def study(
    study: Annotated[Path, typer.Argument(help="A YAML file that names arms and seeds (docs/studies.md).")],
    output: Annotated[
        Path | None, typer.Option(help="Directory for runs and results (default runs/studies/<name>).")
    ] = None,
    short: Annotated[bool, typer.Option("--short", help="Run the short form that the file describes.")] = False,
    at_once: Annotated[
        int | None, typer.Option(min=1, help="How many runs at once (default one for each core).")
    ] = None,
    gpus: Annotated[
        str | None, typer.Option(help="Numbers of the GPUs to use, such as 0,1,2; one run on each.")
    ] = None,
    results_only: Annotated[
        bool, typer.Option("--results-only", help="Train nothing, and compare the runs there are.")
    ] = False,
    reuse: Annotated[
        list[Path] | None,
        typer.Option(help="Directory of another study, whose runs of the same recipe and seed count. Repeatable."),
    ] = None,
    changes: Changes = None,
) -> None:
    """Train the runs that a study still lacks, and write its tables and page. A killed study goes on where it was."""
    from mel.run.study import run_study

    run_study(
        study,
        output=output,
        short=short,
        at_once=at_once,
        gpus=gpus.split(",") if gpus else (),
        changes=changes or (),
        reuse=reuse or (),
        train=not results_only,
        console=Console(),
    )


def plan(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a recipe that comes with mel.")],
    gpus: Annotated[int, typer.Option(min=1, help="GPUs of each node, those of a vLLM server included.")] = 8,
    gpu_memory: Annotated[float, typer.Option(help="GiB of memory of each GPU.", callback=positive)] = 80.0,
    nodes: Annotated[int, typer.Option(min=1, help="Machines.")] = 1,
    accelerate_config: Annotated[
        str | None, typer.Option(help="Configuration file of accelerate, or the name of one that comes with mel.")
    ] = None,
    changes: Changes = None,
    json: Json = False,
) -> None:
    """Estimate memory per GPU and tokens per step; refuse a recipe that cannot fit."""
    from mel.config import load_recipe
    from mel.plan import DoesNotFit
    from mel.report.plain import as_json
    from mel.run.preview import show_plan

    try:
        found = show_plan(
            load_recipe(recipe, changes or ()),
            gpus=gpus,
            gpu_memory_gib=gpu_memory,
            nodes=nodes,
            accelerate_config=accelerate_config,
            console=Console(stderr=json),
        )
    except DoesNotFit as error:
        if json:
            typer.echo(as_json({"fits": False, "peak": error.plan.peak, "plan": error.plan}))
        raise
    if json:
        typer.echo(as_json({"fits": True, "peak": found.peak, "plan": found}))


def recipes(
    name: Annotated[str | None, typer.Argument(help="Recipe to print, as a beginning for your own.")] = None,
) -> None:
    """List the recipes that come with mel and their hardware, or print one with its launch command."""
    from mel.run.preview import list_recipes, show_recipe

    if name is None:
        list_recipes(Console())
    else:
        show_recipe(name, Console())


@data.command("check")
def check_data(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a recipe that comes with mel.")],
    changes: Changes = None,
) -> None:
    """Show rows, what is left out and why, prompt lengths, and the training set's overlap with every benchmark."""
    from mel.config import load_recipe
    from mel.run.preview import show_training_data

    show_training_data(load_recipe(recipe, changes or ()), console=Console())
