"""The command line: every command is one call into the package, and bad input ends in one line of advice."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from mel import __version__, cli_miniature, cli_models, cli_recipes, cli_runs, cli_tales
from mel.cli_help import DATA, EVALUATE, MACHINE, MODELS, RUNS, TRAIN, GroupedHelp
from mel.launch import end_with_parent, num_processes
from mel.visible import visible

app = typer.Typer(
    name="mel",
    cls=GroupedHelp,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # pyright: ignore[reportAssignmentType]
"""What a wrong command line raises; typer brings it, from click or from its own copy of that."""


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


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Meta-Experience Learning for RLVR: learn from the step where a right and a wrong attempt part."""


@app.command(rich_help_panel=MACHINE, short_help="Show what this machine has, and try one step")
def doctor(
    self_test: Annotated[bool, typer.Option(help="Also run one training step.")] = True,
) -> None:
    """Show versions, cores, GPU and what each extra would add, and try one step."""
    from mel.run.doctor import examine

    if not examine(Console(), self_test=self_test):
        raise typer.Exit(1)


app.command(rich_help_panel=TRAIN, short_help="Train the miniature with GRPO and MEL, and compare")(
    cli_recipes.quickstart
)
app.command(rich_help_panel=TRAIN, short_help="Train a recipe")(cli_recipes.train)
app.command(rich_help_panel=TRAIN, short_help="Train recipes x seeds x changes, and compare them")(cli_recipes.study)
app.command(rich_help_panel=TRAIN, short_help="Estimate memory per GPU and tokens per step")(cli_recipes.plan)
app.command(rich_help_panel=TRAIN, short_help="List the recipes that come with mel, or print one")(cli_recipes.recipes)
app.command("eval", rich_help_panel=EVALUATE, short_help="Evaluate a model: Pass@1, Avg@k, Pass@k")(cli_models.evaluate)
app.command(rich_help_panel=EVALUATE, short_help="Score who names the first wrong step")(cli_models.localize)
app.command(rich_help_panel=EVALUATE, short_help="Before training: can MEL help this model?")(cli_models.probe)
app.command(rich_help_panel=RUNS, short_help="Compare runs: a table, and one offline HTML page")(cli_runs.report)
app.command(rich_help_panel=RUNS, short_help="Browse the experiences of a run in a web browser")(cli_runs.browse)
app.command(rich_help_panel=MODELS, short_help="Merge a LoRA adapter into its base model")(cli_models.merge)
app.command("import", rich_help_panel=MODELS, short_help="Turn a GGUF file into a model directory")(
    cli_tales.import_model
)
app.add_typer(
    cli_runs.experiences,
    name="experiences",
    rich_help_panel=RUNS,
    short_help="list, show, score, export: what a run learned",
)
app.add_typer(
    cli_miniature.app,
    name="miniature",
    rich_help_panel=MODELS,
    short_help="build, probe: small mistaken policies",
)
app.add_typer(cli_tales.app, name="tales", rich_help_panel=MODELS, short_help="warm-up: a pretrained model in English")
app.add_typer(
    cli_recipes.data, name="data", rich_help_panel=DATA, short_help="check: rows, lengths, overlap with benchmarks"
)
