"""What can be known of a recipe before it runs: how it is launched, its data, its needs."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from rich import box
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from mel.config import Recipe, load_recipe
from mel.evaluate.training_data import Benchmark, TrainingData, examine_training_data
from mel.plan import Assumptions, DoesNotFit, Plan, estimate, load_layout, render, shape_of
from mel.prepared import Suite
from mel.recipe_files import PLAIN_WORD, find_recipe, lineage, recipes_directory, shipped_bases, shipped_recipes
from mel.recipe_text import recipe_text
from mel.report.data_table import training_data_table
from mel.run.measuring import measure_prompts
from mel.run.prepare import model_directory, prepare_evaluation
from mel.tasks.account import left_out


def list_recipes(console: Console) -> None:
    """`mel recipes`: every recipe that comes with this package, what it trains, and on which hardware."""
    table = Table(
        box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption="mel recipes NAME prints one, how to launch it first"
    )
    table.add_column("recipe", style="bold", no_wrap=True)
    table.add_column("hardware, and what it trains")
    for name, path in shipped_recipes().items():
        hardware = _hardware(path.read_text(encoding="utf-8"))
        table.add_row(name, Text.assemble(hardware, "\n", (load_recipe(name).description, "dim")))
    console.print(table)


def _hardware(text: str) -> str:
    """What a recipe's header says first: on what it runs; the sentence may take several lines."""
    lines = [line.removeprefix("#").strip() for line in takewhile(lambda line: line[:1] == "#", text.splitlines())]
    ends = next((number for number, line in enumerate(lines, 1) if line.endswith(".")), len(lines))
    return " ".join(lines[:ends]).removeprefix("Hardware: ").split(" Expected")[0].rstrip(".;")


def show_recipe(name: str, console: Console) -> None:
    """`mel recipes NAME`: the recipe whole, its bases laid under it; launch files by the path they have here.

    Args:
        name: of a recipe or base that comes with mel, or a YAML file.

    Raises:
        ValueError: no such recipe.
    """
    if not name.endswith((".yaml", ".yml")) and not PLAIN_WORD.fullmatch(name):
        raise ValueError(f"recipe: expected a name (`mel recipes` lists them) or a .yaml file, got {name!r}")
    text = recipe_text(lineage(shipped_bases().get(name) or find_recipe(name)))
    here = text.replace("src/mel/recipes/", f"{recipes_directory()}/")
    console.print(
        Syntax(here, "yaml", background_color="default") if console.is_terminal else Text(here, end=""), soft_wrap=True
    )


def show_training_data(recipe: Recipe, *, console: Console) -> TrainingData:
    """`mel data check`: records, drops and why, prompt lengths, golds, and overlap with every suite of the recipe."""
    prepared = prepare_evaluation(recipe, reads_training_set=True)
    suites = {suite.section.name: _benchmark(suite) for suite in prepared.suites}
    found = examine_training_data(
        prepared.task,
        suites,
        split=recipe.task.split,
        count=recipe.task.count,
        tokenizer=prepared.chat,
        ask=prepared.ask,
        max_prompt_tokens=recipe.trainer.get("max_prompt_length"),
    )
    console.print(training_data_table(found))
    return found


def _benchmark(suite: Suite) -> Benchmark:
    return Benchmark(problems=suite.problems, task=suite.task, left_out=left_out(suite.task, suite.section.split))


def show_plan(
    recipe: Recipe, *, gpus: int, gpu_memory_gib: float, nodes: int, accelerate_config: str | None, console: Console
) -> Plan:
    """`mel plan`: memory per GPU and tokens per step, printed whether it fits or not.

    Prompts are measured where model and data are on this machine; else their lengths are assumed, and the plan says
    why.

    Raises:
        DoesNotFit: after printing, with the numbers and which knob to turn.
    """
    layout = load_layout(accelerate_config) if accelerate_config else None
    shape = shape_of(model_directory(recipe.model.path))
    given: dict[str, Any] = {}
    try:
        measured = measure_prompts(recipe)
        about = f"measured: the prompts of all {measured.problems:,} problems, {measured.mean:.0f} tokens on average"
        given = {"prompt_tokens": measured.longest, "instruction_tokens": measured.instruction}
        given["assumptions"] = Assumptions(prompt_tokens=measured.mean)
    except ValueError as error:
        about = f"prompts were not measured: {error}"
    try:
        found = estimate(
            recipe,
            shape,
            gpus=gpus,
            gpu_memory_gib=gpu_memory_gib,
            nodes=nodes,
            layout=layout,
            about_prompts=about,
            **given,
        )
    except DoesNotFit as error:
        console.print(render(error.plan))
        raise
    console.print(render(found))
    return found
