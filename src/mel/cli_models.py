"""`mel eval`, `mel localize`, `mel probe` and `mel merge`: what is done with a model that exists."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from mel.cli_options import Json, seed_option
from mel.model_path import check_merge

if TYPE_CHECKING:
    from mel.run.evaluation.retrieval import Notes, Part

Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="With --recipe: change one of its keys, section.key=value. Repeatable."),
]
ChatTemplate = Annotated[str | None, typer.Option(help="plain, chatml or a Jinja file; by default the model's own.")]
EngineName = Annotated[str | None, typer.Option(help="What generates: transformers (default) or vllm.")]
Dtype = Annotated[str | None, typer.Option(help="float32, bfloat16 or auto (default), which is bfloat16 on a GPU.")]
TensorParallel = Annotated[int | None, typer.Option(min=1, help="With vllm: GPUs that share the model.")]
GpuMemory = Annotated[float | None, typer.Option(help="With vllm: share of each GPU's memory, 0 to 1.")]


def evaluate(
    model: Annotated[str, typer.Argument(help="Model directory, hub id, miniature:WORLD, or a run directory.")],
    recipe: Annotated[str | None, typer.Option(help="Recipe whose suites, prompts and training set are used.")] = None,
    benchmarks: Annotated[
        str | None,
        typer.Option(help="Tasks to evaluate on instead of a recipe's suites: aime24,math500=math500.jsonl."),
    ] = None,
    k: Annotated[int | None, typer.Option(min=0, help="With --benchmarks: samples per problem (default 8).")] = None,
    temperature: Annotated[
        float | None, typer.Option(help="With --benchmarks: temperature of the samples (default 0.6).")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="With --benchmarks: most tokens of a response (default 4096).")
    ] = None,
    chat_template: ChatTemplate = None,
    engine: EngineName = None,
    dtype: Dtype = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Responses that are generated together.")] = None,
    tensor_parallel: TensorParallel = None,
    gpu_memory: GpuMemory = None,
    overlap: Annotated[
        bool, typer.Option(help="Also score without the problems that the training set contains.")
    ] = True,
    responses: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="File of responses to score instead of generating some: yours, lm-eval's, lighteval's or verl's. "
            "With --retrieve: the run to retrieve from.",
        ),
    ] = None,
    retrieve: Annotated[
        int | None,
        typer.Option(min=1, help="With --from RUN: how many heuristics of that run to put into every prompt."),
    ] = None,
    quote: Annotated[
        Literal["heuristic", "experience"] | None,
        typer.Option(help="With --retrieve: heuristics alone (default), or whole experiences as a replay has them."),
    ] = None,
    baseline: Annotated[Path | None, typer.Option(help="Evaluation or run to compare with, paired by problem.")] = None,
    changes: Changes = None,
    output: Annotated[Path | None, typer.Option(help="Run directory (default runs/eval/<model>).")] = None,
    json: Json = False,
) -> None:
    """Evaluate a model: greedy Pass@1, Avg@k and Pass@k with intervals. Interrupted, it goes on where it was."""
    from mel.config import load_recipe
    from mel.report.arms import read_arms
    from mel.report.plain import as_json, evaluation_values
    from mel.report.results_table import results_table
    from mel.run.evaluation.command import evaluate_model, score_responses
    from mel.run.evaluation.engines import EngineChoice
    from mel.run.evaluation.target import Target, benchmark_suites, evaluation_recipe

    if changes and recipe is None:
        raise ValueError("--set changes the recipe that --recipe names; give that too")
    sampling = {"k": k, "temperature": temperature, "max_tokens": max_tokens}
    engine_options = {
        "engine": engine,
        "dtype": dtype,
        "batch_size": batch_size,
        "tensor_parallel": tensor_parallel,
        "gpu_memory": gpu_memory,
    }
    if benchmarks is None:
        _refuse(sampling, "goes with --benchmarks; a recipe's suites say it themselves (--set evaluation.suites...)")
    notes = _notes(responses, retrieve, quote)
    if responses is not None and notes is None:
        _refuse({**sampling, **engine_options}, "has no effect on responses that are given with --from")
    if baseline is not None:
        read_arms([baseline])  # refused now if it is none, and not after hours of answers
    target = Target.of(model)
    suites = benchmarks and benchmark_suites(benchmarks, **_given(sampling))
    chosen = evaluation_recipe(
        target, load_recipe(recipe, changes or ()) if recipe else None, suites or None, chat_template=chat_template
    )
    # Benchmarks alone name no training set to look into.
    look_for_overlap = overlap and (recipe is not None or target.run is not None)
    console = Console(stderr=json)
    if responses is not None and notes is None:
        found = score_responses(
            chosen, target, responses, output=output, look_for_overlap=look_for_overlap, console=console
        )
    else:
        choice = EngineChoice(**_given(engine_options))
        found = evaluate_model(
            chosen,
            target,
            output=output,
            engine=choice,
            look_for_overlap=look_for_overlap,
            notes=notes,
            console=console,
        )
    if baseline is not None:
        console.print(results_table([baseline, found]))
    if json:
        typer.echo(as_json(evaluation_values(found, [suite.name for suite in chosen.evaluation.suites])))


def localize(
    model_and_data: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] DATA",
            help="A model as for mel eval, unless the localizer needs none; and a file or hub id with labelled steps.",
        ),
    ],
    localizer: Annotated[
        str | None,
        typer.Option(
            help="critique (default), agreement, likelihood or least_likely; without a model first_difference, "
            "novel_value or random, by default all three."
        ),
    ] = None,
    alone: Annotated[bool, typer.Option("--alone", help="Do not show the model the right solutions.")] = False,
    split: Annotated[
        str, typer.Option(help="Split of a hub id or directory, such as gsm8k of Qwen/ProcessBench.")
    ] = "test",
    config: Annotated[str | None, typer.Option(help="Configuration of the data set on the hub.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Use only this many solutions, the first ones.")] = None,
    prompts: Annotated[str | None, typer.Option(help="Prompt set, by name or directory (default math).")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Most tokens of an answer (default 2048).")] = None,
    chat_template: ChatTemplate = None,
    engine: EngineName = None,
    dtype: Dtype = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Answers that are generated together.")] = None,
    tensor_parallel: TensorParallel = None,
    gpu_memory: GpuMemory = None,
    output: Annotated[
        Path | None, typer.Option(help="Directory for the results (default runs/localize/<model>/<data>).")
    ] = None,
    json: Json = False,
) -> None:
    """Score who names the first wrong step, beside localizers that need no model. Interrupted, it goes on."""
    from mel.report.plain import as_json
    from mel.run.evaluation.critic import Critic
    from mel.run.evaluation.engines import EngineChoice
    from mel.run.evaluation.localization import Data
    from mel.run.evaluation.localization import localize as run
    from mel.run.evaluation.target import Target

    if len(model_and_data) > 2:
        raise ValueError(f"mel localize: expected a model and data, or data alone; got {' '.join(model_and_data)}")
    engine_options = {
        "engine": engine,
        "dtype": dtype,
        "batch_size": batch_size,
        "tensor_parallel": tensor_parallel,
        "gpu_memory": gpu_memory,
    }
    asking = {"prompts": prompts, "max_tokens": max_tokens, "chat_template": chat_template}
    *models, source = model_and_data
    if not models:
        _refuse({**asking, **engine_options}, "has no effect where no model is asked")
    critics = [
        Critic(target=Target.of(word), engine=EngineChoice(**_given(engine_options)), **_given(asking))
        for word in models
    ]
    found = run(
        Data(source=source, split=split, config=config, count=count),
        critics[0] if critics else None,
        localizer,
        alone=alone,
        output=output,
        console=Console(stderr=json),
    )
    if json:
        typer.echo(as_json(found))


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _notes(run: Path | None, k: int | None, part: Part | None) -> Notes | None:
    from mel.run.evaluation.retrieval import Notes

    if k is None:
        _refuse({"quote": part}, "goes with --retrieve")
        return None
    if run is None:
        raise ValueError("--retrieve takes the run whose experiences are retrieved: give --from RUN too")
    return Notes(run=run, k=k, part=part or "heuristic")


def _refuse(options: Mapping[str, Any], why: str) -> None:
    for name in _given(options):
        raise ValueError(f"--{name.replace('_', '-')} {why}; leave it out")


def probe(
    model: Annotated[str, typer.Argument(help="Model directory, hub id or miniature:WORLD.")],
    task: Annotated[str | None, typer.Option(help="Name of the task to ask, with the task's own prompts.")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Recipe whose task, prompts, limits and way of writing notes are used.")
    ] = None,
    problems: Annotated[int, typer.Option(min=1, help="How many problems, the first ones of the split.")] = 48,
    samples: Annotated[int, typer.Option(min=2, help="Solutions sampled for each problem.")] = 8,
    seed: Annotated[int, seed_option("Seed of the choice of pairs and of all sampling.")] = 0,
    split: Annotated[str | None, typer.Option(help="Split of the task; by default the one that is trained on.")] = None,
    chat_template: ChatTemplate = None,
    engine: Annotated[str, typer.Option(help="What generates: transformers or vllm.")] = "transformers",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or auto, which is bfloat16 on a GPU.")] = "auto",
    batch_size: Annotated[int | None, typer.Option(min=1, help="Prompts that are answered together.")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Change a recipe key: task.options.length=8. Repeatable.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Directory for probe.json; without it nothing is written.")
    ] = None,
    json: Json = False,
) -> None:
    """Before training: can MEL help this policy? Solving, notes, localization, and attempts with and without notes."""
    from mel.report.plain import as_json
    from mel.run.evaluation.engines import EngineChoice
    from mel.run.probe import ProbeChoice, probe_model, probe_recipe

    choice = ProbeChoice(problems=problems, samples=samples, seed=seed, split=split, output=output)
    asked = probe_recipe(model, task=task, recipe=recipe, chat_template=chat_template, changes=changes or ())
    chosen = EngineChoice(engine=engine, dtype=dtype, batch_size=batch_size)
    found = probe_model(asked, choice, chosen, console=Console(stderr=json))
    if json:
        typer.echo(as_json(found))


def merge(
    adapter: Annotated[str, typer.Argument(help="Directory with adapter_config.json, or the run that trained it.")],
    output: Annotated[Path, typer.Option(help="Where the merged model goes; must not exist yet.")],
) -> None:
    """Merge a LoRA adapter into its base model: an ordinary model directory for any engine."""
    from mel.run.evaluation.target import Target

    model = Target.of(adapter).model
    check_merge(model, output)
    from mel.hosts.load import merge_adapter, quiet_libraries

    quiet_libraries()
    Console().print(f"merged model: {merge_adapter(model, output)}", soft_wrap=True)
