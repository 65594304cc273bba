"""`mel eval`: a model, or a run's, on benchmarks; a run directory of its own holds what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from mel import tasks
from mel.config import Recipe, SuiteSection, parse_recipe
from mel.evaluate.given import score
from mel.evaluate.result import EvaluationResult, markdown
from mel.evaluate.training_data import overlapping_ids
from mel.launch import num_processes
from mel.record.lock import only_writer
from mel.record.metrics_log import replace_file
from mel.record.provenance import fingerprint, versions
from mel.record.run_directory import AFTER, RECIPE, RunDirectory
from mel.report.terminal import evaluation_table
from mel.run.evaluation.engines import EngineChoice, open_engine
from mel.run.evaluation.retrieval import Notes, NotesOfRun, prompt_lengths, with_notes
from mel.run.evaluation.suites import check_suites, run_suite, suite_task
from mel.run.evaluation.target import Target
from mel.run.prepare import environment, prepare_evaluation
from mel.tasks.account import left_out

EVALUATIONS = Path("runs/eval")
"""Where evaluations of a model go that was trained elsewhere: a directory a model."""


def evaluate_model(
    recipe: Recipe,
    target: Target,
    *,
    output: Path | None,
    engine: EngineChoice,
    look_for_overlap: bool,
    notes: Notes | None = None,
    console: Console,
) -> Path:
    """Every suite of the recipe, resumable, printed as a table; the run directory that holds the results.

    Args:
        notes: of earlier experiences, which stand before every problem; None for none.

    Raises:
        ValueError: no such model, responses that do not fit its context, or an output that holds another model's.
    """
    if num_processes() > 1:
        raise ValueError(
            "mel eval: expected one process, got a launcher's several, each of which would do all of it: start it "
            "without accelerate or torchrun; --engine vllm --tensor-parallel N uses several GPUs"
        )
    _check_free(recipe, target, output)
    engine.check_installed()
    memory = NotesOfRun.open(notes) if notes else None
    prepared = prepare_evaluation(recipe, reads_training_set=look_for_overlap)
    prepared = with_notes(prepared, memory) if memory else prepared
    from mel.hosts.load import context_length

    positions = context_length(prepared.model_path)
    longest = check_suites(prepared.suites, prepared.chat, positions=positions)
    batch_size = engine.responses_per_call(recipe.evaluation.batch_size)
    weights = fingerprint(prepared.model_path)
    with _directory(recipe, environment(prepared), target, output) as directory, only_writer(directory.path):
        opened = open_engine(
            engine,
            prepared.model_path,
            prepared.tokenizer,
            batch_size=batch_size,
            longest=longest,
            attention=recipe.model.attention,
        )
        results = [
            run_suite(
                prepared,
                suite,
                opened,
                out=_place(directory, target, suite.section),
                batch_size=batch_size,
                model=target.about,
                weights=weights,
                console=console,
                look_for_overlap=look_for_overlap,
                about=prompt_lengths(suite, prepared.chat),
            )
            for suite in prepared.suites
        ]
        _finish(directory, target, recipe, results, console)
    for result in results:
        if notes:
            about = result.environment
            console.print(
                f"{result.name}: prompts of {about['prompt_tokens']:.0f} tokens on average, "
                f"{about['prompt_tokens_without_notes']:.0f} without notes"
            )
    return directory.path


def score_responses(
    recipe: Recipe, target: Target, responses: Path, *, output: Path | None, look_for_overlap: bool, console: Console
) -> Path:
    """`mel eval --from`: score what somebody else generated for the recipe's one suite.

    Raises:
        ValueError: another number of suites, or responses that do not match its problems.
    """
    suites = recipe.evaluation.suites
    if len(suites) != 1:
        names = ", ".join(s.name for s in suites)
        raise ValueError(f"mel eval --from: expected one benchmark, got {len(suites)} ({names}); name the one")
    suite, section = suites[0], recipe.task
    task = suite_task(section, suite)
    problems = task.problems(suite.split, suite.count)
    contained = None
    if look_for_overlap:
        trained_on = tasks.load(section.name, **section.options).problems(section.split, section.count)
        contained = overlapping_ids(trained_on, problems)
    about = {"responses": str(responses), "versions": dict(versions())}
    with _directory(recipe, about, target, output) as directory, only_writer(directory.path):
        result = score(
            problems,
            task,
            responses,
            out=_place(directory, target, suite),
            contained=contained,
            model=target.about,
            environment={**about, "is_benchmark": suite.task is not None},
            left_out=left_out(task, suite.split),
        )
        _finish(directory, target, recipe, [result], console)
    return directory.path


def _check_free(recipe: Recipe, target: Target, output: Path | None) -> None:
    """Refuse an output that holds something else than a run before anything is loaded."""
    path = _place_of(recipe, output)
    if (target.run is None or output is not None) and not (path / RECIPE).is_file():
        RunDirectory.check_free(path)


def _place_of(recipe: Recipe, output: Path | None) -> Path:
    return output or EVALUATIONS / recipe.name


def _directory(recipe: Recipe, about: Mapping[str, object], target: Target, output: Path | None) -> RunDirectory:
    """The run's own directory, or one for this model's evaluations, which may hold earlier ones.

    Raises:
        ValueError: it holds something else.
    """
    if target.run is not None and output is None:
        return RunDirectory.open(target.run)
    path = _place_of(recipe, output)
    if not (path / RECIPE).is_file():
        return RunDirectory.create(path, recipe.resolved(), about)
    directory = RunDirectory.open(path)
    then = parse_recipe(directory.recipe, source=str(path / RECIPE))
    if then.model.path != recipe.model.path or directory.metrics.read():
        raise ValueError(
            f"{path} holds {'a training run' if directory.metrics.read() else f'evaluations of {then.model.path}'}; "
            f"choose another --output for those of {recipe.model.path}"
        )
    return directory


def _place(directory: RunDirectory, target: Target, suite: SuiteSection) -> Path:
    return directory.evaluation(AFTER + suite.name if directory.path == target.run else suite.name)


def _finish(
    directory: RunDirectory, target: Target, recipe: Recipe, results: Sequence[EvaluationResult], console: Console
) -> None:
    """Say what came of it, on the console and as one table over all suites."""
    if directory.path != target.run:
        # Only now: a call that was refused changes nothing of what is recorded about results that are there.
        directory.set_recipe(_with_earlier_suites(recipe, directory).resolved())
        directory.set_status("finished")
    replace_file(directory.path / "evaluations" / "results.md", markdown(results), doing="writing the table of results")
    console.print(evaluation_table(results))
    console.print(f"responses and results: {directory.path}", soft_wrap=True, highlight=False)


def _with_earlier_suites(recipe: Recipe, directory: RunDirectory) -> Recipe:
    names = [s.name for s in recipe.evaluation.suites]
    then = parse_recipe(directory.recipe, source=str(directory.path / RECIPE)).evaluation.suites
    suites = [*(s for s in then if s.name not in names), *recipe.evaluation.suites]
    return recipe.with_suites(suites)
