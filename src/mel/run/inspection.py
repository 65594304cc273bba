"""What can be known of a recipe before it runs: its data and its needs."""

from __future__ import annotations

from rich.console import Console

from mel.config import Recipe
from mel.evaluate.data_check import DataCheck, check_data
from mel.plan import DoesNotFit, Plan, estimate, load_layout, render, shape_of
from mel.report.data_check import data_check_table
from mel.run.evaluation import suite_task
from mel.run.wiring import model_directory, wire


def data_check(recipe: Recipe, *, console: Console) -> DataCheck:
    """`mel data check`: rows, drops and why, prompt lengths, overlap with every suite of the recipe."""
    wiring = wire(recipe)
    suites = {s.name: suite_task(wiring, s)[0].problems(s.split, s.count) for s in recipe.evaluation.suites}
    check = check_data(
        wiring.task,
        suites,
        split=recipe.task.split,
        count=recipe.task.count,
        tokenizer=wiring.chat,
        prompts=wiring.prompt_set,
        max_prompt_tokens=recipe.trainer.get("max_prompt_length"),
    )
    console.print(data_check_table(check))
    return check


def plan(
    recipe: Recipe, *, gpus: int, gpu_memory_gib: float, nodes: int, accelerate_config: str | None, console: Console
) -> Plan:
    """`mel plan`: memory per GPU and tokens per step, printed whether it fits or not.

    Raises:
        DoesNotFit: after printing, with the numbers and which knob to turn.
    """
    try:
        found = estimate(
            recipe,
            shape_of(model_directory(recipe.model.path)),
            gpus=gpus,
            gpu_memory_gib=gpu_memory_gib,
            nodes=nodes,
            layout=load_layout(accelerate_config) if accelerate_config else None,
        )
    except DoesNotFit as error:
        console.print(render(error.plan))
        raise
    console.print(render(found))
    return found
