"""The command line: every command is one call into the package, and bad input ends in one line of advice."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console

from mel import __version__, cli_miniature, cli_models, cli_tales
from mel.cli_help import DATA, EVALUATE, MACHINE, MODELS, RUNS, TRAIN, GroupedHelp
from mel.cli_models import Json
from mel.launch import end_with_parent, num_processes
from mel.naming import comma_separated
from mel.visible import visible

app = typer.Typer(
    name="mel",
    cls=GroupedHelp,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
experiences = typer.Typer(help="Browse the meta-experiences of a run.", no_args_is_help=True)
data = typer.Typer(help="Look at training data.", no_args_is_help=True)
app.add_typer(
    experiences,
    name="experiences",
    rich_help_panel=RUNS,
    short_help="list, show, score, export: what a run learned",
)
app.add_typer(data, name="data", rich_help_panel=DATA, short_help="check: rows, lengths, overlap with benchmarks")
app.add_typer(
    cli_miniature.app,
    name="miniature",
    rich_help_panel=MODELS,
    short_help="build, probe: small mistaken policies",
)
app.add_typer(cli_tales.app, name="tales", rich_help_panel=MODELS, short_help="warm-up: a pretrained model in English")

UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # pyright: ignore[reportAssignmentType]
"""What a wrong command line raises; typer brings it, from click or from its own copy of that."""

Changes = Annotated[
    list[str] | None, typer.Option("--set", help="Change a key of the recipe: section.key=value. Repeatable.")
]
Format = Literal["parquet", "jsonl"]
RunPath = Annotated[Path, typer.Argument(help="A run directory.")]


def main() -> None:
    """Run the command line; what the user can correct (`ValueError`, `OSError`, a missing extra) is one line."""
    end_with_parent()
    # Before torch is loaded: two threads beside another busy process were measured up to 80 times slower than one.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # TRL reports every trainer that is made to the hub; a user who sets the variable, to 0 too, has decided.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if num_processes() == 1:
        # So that what is open is closed and a run says that it was stopped. Several ranks could wait for each other.
        signal.signal(signal.SIGTERM, _stop)
    try:
        sys.exit(app(standalone_mode=False))
    except UsageError as error:
        _end(" ".join(_advised(error).split()))
    except typer.Abort:
        sys.exit(130)
    except ValueError as error:
        _end(str(error))
    except OSError as error:
        _end(_of_path(error))
    except ModuleNotFoundError as error:
        from mel.run.doctor import advice_about

        advice = advice_about(error.name or "")
        if advice is None:
            raise
        _end(advice)


PATHS: dict[type[OSError], str] = {
    IsADirectoryError: "expected a file, got a directory; name a file, new or old",
    NotADirectoryError: "a part of this path is a file and no directory; name another path",
    FileExistsError: "expected a directory, got a file; name another path",
    FileNotFoundError: "no such file or directory; check the path",
    PermissionError: "no permission; choose a path that you may read and write",
}
"""What the system says of a path, with what to do."""


def _of_path(error: OSError) -> str:
    """The path and what to do about it; an error of our own has its advice already."""
    advice = next((said for kind, said in PATHS.items() if isinstance(error, kind)), None)
    return f"{error.filename}: {advice}" if advice is not None and error.filename is not None else str(error)


def _end(message: str) -> NoReturn:
    Console(stderr=True).print(f"mel: {visible(message)}", style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(2)


def _advised(error: Any) -> str:
    """What is wrong with a command line, on one line, and where it says what is right."""
    if type(error).__name__ == "NoArgsIsHelpError":  # nothing was given: it holds the help page
        error.show()
        sys.exit(error.exit_code)
    # Under `python -m mel` the program has another name.
    command = (error.ctx.command_path if error.ctx else "").partition("mel")[2]
    return f"{error.format_message().rstrip('.')}; `mel{command} --help` says what it takes"


def _stop(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def _version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"mel {__version__}")
        raise typer.Exit


def _positive(value: float) -> float:
    if not 0.0 < value < float("inf"):
        raise typer.BadParameter(f"expected a number above 0, got {value:g}")
    return value


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Meta-Experience Learning for RLVR: learn from the step where a right and a wrong attempt part."""


@app.command(rich_help_panel=TRAIN, short_help="Train the miniature with GRPO and MEL, and compare")
def quickstart(
    output: Annotated[Path, typer.Option(help="Directory for the runs and the page.")] = Path("runs/quickstart"),
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps per arm.")] = 60,
    seed: Annotated[int, typer.Option(help="Seed of every arm.")] = 0,
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


@app.command(rich_help_panel=TRAIN, short_help="Train a recipe")
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


@app.command(rich_help_panel=TRAIN, short_help="Train recipes x seeds x changes, and compare them")
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


app.command("eval", rich_help_panel=EVALUATE, short_help="Evaluate a model: Pass@1, Avg@k, Pass@k")(cli_models.evaluate)
app.command("localize", rich_help_panel=EVALUATE, short_help="Score who names the first wrong step")(
    cli_models.localize
)
app.command("probe", rich_help_panel=EVALUATE, short_help="Before training: can MEL help this model?")(cli_models.probe)
app.command("merge", rich_help_panel=MODELS, short_help="Merge a LoRA adapter into its base model")(cli_models.merge)
app.command("import", rich_help_panel=MODELS, short_help="Turn a GGUF file into a model directory")(
    cli_tales.import_model
)


@app.command(rich_help_panel=TRAIN, short_help="Estimate memory per GPU and tokens per step")
def plan(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a recipe that comes with mel.")],
    gpus: Annotated[int, typer.Option(min=1, help="GPUs of each node, those of a vLLM server included.")] = 8,
    gpu_memory: Annotated[float, typer.Option(help="GiB of memory of each GPU.", callback=_positive)] = 80.0,
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


@app.command(rich_help_panel=TRAIN, short_help="List the recipes that come with mel, or print one")
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


@app.command(rich_help_panel=RUNS, short_help="Compare runs: a table, and one offline HTML page")
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


@app.command(rich_help_panel=RUNS, short_help="Browse the experiences of a run in a web browser")
def browse(
    run: RunPath,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes any that is free.")] = 8642,
) -> None:
    """Browse the meta-experiences of a run: search, filters and links, for a browser on this machine only."""
    from mel.report.browse.server import browse as run_server

    run_server(run, port=port, console=Console())


@app.command(rich_help_panel=MACHINE, short_help="Show what this machine has, and try one step")
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
