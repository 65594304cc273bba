"""`mel eval`, `mel localize`, `mel probe` and `mel merge`: what is done with a model that exists."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from mel.model_path import check_merge

if TYPE_CHECKING:
    from mel.run.evaluation.retrieval import Notes, Part

Changes = Annotated[list[str] | None, typer.Option("--set", help="With --recipe: change a key, section.key=value.")]
ChatTemplate = Annotated[str | None, typer.Option(help="plain, chatml or a Jinja file.")]
EngineName = Annotated[str | None, typer.Option(help="transformers (default) or vllm.")]
Dtype = Annotated[str | None, typer.Option(help="float32, bfloat16, or auto (default): bfloat16 on a GPU.")]
TensorParallel = Annotated[int | None, typer.Option(min=1, help="GPUs that share the model (vllm).")]
GpuMemory = Annotated[float | None, typer.Option(help="Share of each GPU's memory (vllm).")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs; all else goes to stderr.")]


def evaluate(
    model: Annotated[str, typer.Argument(help="Model directory, hub id, miniature:WORLD, or a run directory.")],
    recipe: Annotated[str | None, typer.Option(help="Whose suites, prompts and training set count.")] = None,
    benchmarks: Annotated[
        str | None, typer.Option(help="Tasks instead of a recipe's suites: aime24,math500=math500.jsonl.")
    ] = None,
    k: Annotated[int | None, typer.Option(min=0, help="With --benchmarks: samples per problem; 8.")] = None,
    temperature: Annotated[float | None, typer.Option(help="With --benchmarks: of the samples; 0.6.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="With --benchmarks: per response; 4096.")] = None,
    chat_template: ChatTemplate = None,
    engine: EngineName = None,
    dtype: Dtype = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Responses per engine call.")] = None,
    tensor_parallel: TensorParallel = None,
    gpu_memory: GpuMemory = None,
    overlap: Annotated[bool, typer.Option(help="Score also without problems that the training set contains.")] = True,
    responses: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Score these responses instead of generating: a file of yours, lm-eval's, lighteval's or verl's. "
            "With --retrieve: a run.",
        ),
    ] = None,
    retrieve: Annotated[
        int | None, typer.Option(min=1, help="With --from RUN: so many heuristics of that run in every prompt.")
    ] = None,
    quote: Annotated[
        Literal["heuristic", "experience"] | None,
        typer.Option(
            help="With --retrieve: the heuristics alone (default), or whole experiences as a replay has them."
        ),
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="Evaluation or run to compare with, problem by problem.")
    ] = None,
    changes: Changes = None,
    output: Annotated[Path | None, typer.Option(help="Run directory; default runs/eval/<model>.")] = None,
    json: Json = False,
) -> None:
    """Evaluate a model: Pass@1 greedy, Avg@k and Pass@k with intervals; goes on where it was interrupted."""
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
            help="A model as for mel eval, unless the localizer asks none; a file or hub id with labelled steps.",
        ),
    ],
    localizer: Annotated[
        str | None,
        typer.Option(
            help="As in recipes: critique (default), agreement, likelihood, least_likely; with no model "
            "first_difference, novel_value, random, by default all three."
        ),
    ] = None,
    alone: Annotated[bool, typer.Option("--alone", help="Keep right solutions out of view.")] = False,
    split: Annotated[str, typer.Option(help="Of a hub id or directory, such as gsm8k of Qwen/ProcessBench.")] = "test",
    config: Annotated[str | None, typer.Option(help="Configuration on the hub.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Only the first so many solutions.")] = None,
    prompts: Annotated[str | None, typer.Option(help="Prompt set, by name or directory; math.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Per answer; 2048.")] = None,
    chat_template: ChatTemplate = None,
    engine: EngineName = None,
    dtype: Dtype = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Answers per engine call.")] = None,
    tensor_parallel: TensorParallel = None,
    gpu_memory: GpuMemory = None,
    output: Annotated[Path | None, typer.Option(help="Directory; default runs/localize/<model>/<data>.")] = None,
    json: Json = False,
) -> None:
    """Score who names the first wrong step, against free localizers; goes on where it was interrupted."""
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
    task: Annotated[str | None, typer.Option(help="Task by its name, with its own prompts.")] = None,
    recipe: Annotated[str | None, typer.Option(help="Whose task, prompts, limits and construction count.")] = None,
    problems: Annotated[int, typer.Option(min=1, help="Problems, the first of the split.")] = 48,
    samples: Annotated[int, typer.Option(min=2, help="Solutions sampled of each.")] = 8,
    seed: Annotated[int, typer.Option(help="Of the pairs and of all sampling.")] = 0,
    split: Annotated[str | None, typer.Option(help="Of the task; by default that of training.")] = None,
    chat_template: ChatTemplate = None,
    engine: Annotated[str, typer.Option(help="transformers or vllm.")] = "transformers",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16, or auto: bfloat16 on a GPU.")] = "auto",
    batch_size: Annotated[int | None, typer.Option(min=1, help="Prompts per engine call.")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Change a recipe key: task.options.length=8. Repeatable.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Also write probe.json into this directory.")] = None,
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
