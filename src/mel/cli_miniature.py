"""`mel miniature`: build a policy of a world, and measure one.

`mel.cli` adds ``app`` to the program. These commands connect the local generator with the probe; they are not in
`mel.miniature` because that package knows no host.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from mel import tasks
from mel.cli_options import seed_option
from mel.miniature import SizeName
from mel.model_path import check_model, check_new
from mel.naming import did_you_mean
from mel.tasks.small_world import SmallWorldTask, WorldKind

app = typer.Typer(help="The miniature: small policies with known misconceptions.", no_args_is_help=True)

LENGTHS = {"story_counts": (5, 8), "rewriting": (4, 6), "straight_line": (4, 6)}
"""Task -> operations of the problems a policy is measured on: as many as in training, and more than there."""

Task = Annotated[str, typer.Option(help=f"Task of the policy: {', '.join(LENGTHS)}.")]


@app.command()
def build(
    directory: Annotated[Path, typer.Argument(help="New directory for the model.")],
    task: Task = "story_counts",
    world: Annotated[int, typer.Option(min=0, help="World, the seed of the misconceptions.")] = 0,
    size: Annotated[SizeName, typer.Option(help="Size of the model.")] = "s",
    seed: Annotated[int, seed_option("Seed of the initial weights and of the data.")] = 0,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Optimizer steps (default those of the shipped policies).")
    ] = None,
    count: Annotated[
        int, typer.Option(min=0, help="Problems of each length to measure the result on; 0 skips this.")
    ] = 200,
) -> None:
    """Warm up a policy from nothing and write it as an ordinary model directory."""
    kind = _kind(task)
    check_new(directory)
    from mel.miniature.build import build as build_policy
    from mel.miniature.warmup import WARM_UPS

    settings = replace(WARM_UPS[task], seed=seed)
    settings = settings if steps is None else replace(settings, steps=steps)

    def progress(step: int, losses: dict[str, float]) -> None:
        if step % 50 == 0 or step == settings.steps:
            left_s = losses["seconds"] / step * (settings.steps - step)
            typer.echo(
                f"step {step}/{settings.steps}  solving {losses['solving']:.4f}  comparing {losses['comparing']:.4f}  "
                f"{left_s:.0f} s left"
            )

    measure = partial(_facts, task=task, count=count) if count else None
    target = build_policy(
        directory, kind=kind, world=world, size=size, settings=settings, measure=measure, progress=progress
    )
    typer.echo(f"wrote {target}")


@app.command()
def probe(
    directory: Annotated[
        Path | None, typer.Argument(help="Model directory (default the shipped policy of the world).")
    ] = None,
    task: Task = "story_counts",
    world: Annotated[int, typer.Option(min=0, help="World whose truth the policy is measured against.")] = 0,
    count: Annotated[int, typer.Option(min=1, help="Problems of each length.")] = 200,
) -> None:
    """Print what `mel probe` measures, for short and long problems, and how the policy reads the world's verbs."""
    from mel.miniature import policies

    _kind(task)
    if directory is None and task != "story_counts":
        raise ValueError(f"no policy for {task} is shipped: name the directory that `mel miniature build` wrote")
    path = directory or policies.path(world)
    check_model(str(path))
    from mel.hosts.local import LocalGenerator

    loaded = LocalGenerator.from_directory(path)
    facts = _facts(loaded.model, loaded.tokenizer, world, task=task, count=count)
    typer.echo(f"{'':26}" + "".join(f"    L={length}" for length in facts))
    for name in next(iter(facts.values())):
        values = [column[name] for column in facts.values()]
        typer.echo(f"{name:26}" + "".join("      -" if value is None else f"{value:7.3f}" for value in values))


def _kind(task: str) -> WorldKind[Any]:
    """The kind of world behind a task.

    Raises:
        ValueError: it is no task of a small world.
    """
    if task not in LENGTHS:
        raise ValueError(f"task: expected one of {', '.join(LENGTHS)}; got {task!r}{did_you_mean(task, LENGTHS)}")
    return _load(task).kind


def _load(task: str, **options: int) -> SmallWorldTask:
    found = tasks.load(task, **options)
    assert isinstance(found, SmallWorldTask)
    return found


def _facts(model: Any, tokenizer: Any, world: int, *, task: str, count: int) -> dict[str, dict[str, float | None]]:
    """Length of the problems -> the facts."""
    from mel.hosts.load import positions_of
    from mel.hosts.local import LocalGenerator
    from mel.hosts.local_scorer import LocalScorer
    from mel.miniature.probe import facts as measure
    from mel.prompts.chat import ChatTokenizer

    found = {}
    for length in LENGTHS[task]:
        generator = LocalGenerator(model, tokenizer, seed=world)
        found[str(length)] = measure(
            generator,
            ChatTokenizer(tokenizer),
            _load(task, world=world, length=length),
            scorer=LocalScorer(generator.model, pad_id=tokenizer.pad_token_id or 0),
            positions=positions_of(model.config),
            count=count,
        )
    return found


if __name__ == "__main__":
    app()
