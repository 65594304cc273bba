"""`mel eval`: a model, or a run's, on benchmarks; a run directory of its own holds what came of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from mel import tasks
from mel.config import Recipe, SuiteSection, load_recipe, parse_recipe
from mel.evaluate.result import EvaluationResult
from mel.evaluate.result_file import markdown
from mel.evaluate.runner import score
from mel.ports import Task
from mel.record.provenance import fingerprint, versions
from mel.record.run_directory import AFTER, RECIPE, RunDirectory
from mel.report.terminal import evaluation_table
from mel.run.engines import EngineChoice, open_engine
from mel.run.evaluation import after_training, contained_in_training, longest_sequence, run_suite
from mel.run.wiring import environment, num_processes, wire
from mel.tasks.mathematics import MathTask

EVALUATIONS = Path("runs/eval")
"""Where evaluations of a model go that was trained elsewhere: a directory a model."""

BATCH_SIZE = 32
"""Responses decoded together where no recipe says it: thousands of tokens each, of a model of any size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What `mel eval` was pointed at.

    Args:
        model: directory, hub id or miniature:WORLD.
        about: what results call it; a run's model is called as the run itself calls it.
        run: the run directory it was trained in, if it was that which was named.
    """

    model: str
    about: str
    run: Path | None = None

    @classmethod
    def of(cls, word: str) -> Target:
        """A run directory stands for its trained model.

        Raises:
            ValueError: a run that holds no trained model.
        """
        path = Path(word)
        if not (path / RECIPE).is_file():
            return cls(model=word, about=word)
        if not (path / "model").is_dir():
            raise ValueError(
                f"{path}: expected a finished run with its model in {path / 'model'}; there is none. Finish it with "
                f"--resume, or evaluate a checkpoint: mel eval {path / 'checkpoints'}/checkpoint-N --recipe "
                f"{path / RECIPE}"
            )
        about = after_training(str(RunDirectory.open(path).recipe["name"]))
        return cls(model=str(path / "model"), about=about, run=path)


def evaluation_recipe(
    target: Target,
    recipe: Recipe | None,
    suites: Sequence[SuiteSection] | None,
    *,
    chat_template: str | None = None,
) -> Recipe:
    """What an evaluation needs of a recipe: model, prompts, training set and suites.

    Args:
        recipe: whose suites, prompts and training set count; None for those of the target's own run.
        suites: instead of the recipe's.
        chat_template: instead of the recipe's.

    Raises:
        ValueError: nothing says what to evaluate on.
    """
    if recipe is None and target.run is not None:
        recipe = load_recipe(str(target.run / RECIPE))
    if recipe is None:
        if not suites:
            raise ValueError("mel eval: expected --recipe or --benchmarks, or a run directory instead of a model")
        sections = {
            "task": {"name": suites[0].task, "options": suites[0].options, "split": suites[0].split},
            "evaluation": {"batch_size": BATCH_SIZE},
        }
        base = parse_recipe({"name": "eval", "model": {"path": target.model}, **sections}, source="mel eval")
    else:
        base = recipe
    chosen = list(suites or base.evaluation.suites)
    if not chosen:
        raise ValueError(f"recipe {base.name}: evaluation.suites is empty; give --benchmarks")
    model = {"path": target.model} | ({"chat_template": chat_template} if chat_template else {})
    return base.model_copy(
        update={
            "name": name_of(target.model),
            "description": "",
            "model": base.model.model_copy(update=model),
            "evaluation": base.evaluation.model_copy(update={"suites": chosen}),
        }
    )


def benchmark_suites(words: str, *, k: int = 8, temperature: float = 0.6, max_tokens: int = 4096) -> list[SuiteSection]:
    """Suites of `aime24,math500=path/to/math500.jsonl`: tasks by name, each with its source if that is not its own.

    The defaults are the paper's protocol.

    Raises:
        ValueError: an unknown task, one that is named twice, or a temperature that samples nothing.
    """
    if k and temperature <= 0.0:
        raise ValueError(f"--temperature: expected more than 0 for the samples, got {temperature:g}; --k 0 makes none")
    suites: list[SuiteSection] = []
    for word in words.split(","):
        name, _, source = word.strip().partition("=")
        options = {"source": source} if source else {}
        task = tasks.load(name, **options)
        if any(s.name == name for s in suites):
            raise ValueError(f"--benchmarks: expected every task once; {name} is named more often")
        sampling = {"k": k, "temperature": temperature, "max_tokens": max_tokens}
        suites.append(SuiteSection(name=name, task=name, options=options, split=_split_of(task), **sampling))
    return suites


def _split_of(task: Task) -> str:
    """`test`, or the only split of a file that somebody brings."""
    splits = list(task.source.splits) if isinstance(task, MathTask) else []
    return "test" if "test" in splits or not splits else splits[0]


def name_of(model: str) -> str:
    """A plain name for a model: the last part of a hub id, the last two of a path, a checkpoint's run among them."""
    parts = [p for p in re.split(r"[/\\:]", model) if p not in ("", ".", "..", "checkpoints")]
    kept = parts[-1:] if model.count("/") == 1 and not Path(model).exists() else parts[-2:]
    return re.sub(r"[^\w.-]+", "-", "-".join(kept)) or "model"


def evaluate_model(
    recipe: Recipe,
    target: Target,
    *,
    output: Path | None,
    engine: EngineChoice,
    look_for_overlap: bool,
    console: Console,
) -> Path:
    """Every suite of the recipe, resumable, printed as a table; the run directory that holds the results.

    Raises:
        ValueError: no such model, responses that do not fit its context, or an output that holds another model's.
    """
    from mel.hosts.load import context_length, quiet_libraries

    if num_processes() > 1:
        raise ValueError(
            "mel eval: expected one process, got a launcher's several, each of which would do all of it: start it "
            "without accelerate or torchrun; --engine vllm --tensor-parallel N uses several GPUs"
        )
    quiet_libraries()
    wiring = wire(recipe)
    positions = context_length(wiring.model_path)
    longest = max(longest_sequence(wiring, suite, positions=positions) for suite in recipe.evaluation.suites)
    batch_size = engine.responses_per_call(recipe.evaluation.batch_size)
    weights = fingerprint(wiring.model_path)
    with _directory(recipe, environment(wiring), target, output) as directory:
        opened = open_engine(engine, wiring, batch_size=batch_size, longest=longest)
        results = [
            run_suite(
                wiring,
                suite,
                opened,
                out=_place(directory, target, suite),
                batch_size=batch_size,
                model=target.about,
                weights=weights,
                console=console,
                look_for_overlap=look_for_overlap,
            )
            for suite in recipe.evaluation.suites
        ]
        _finish(directory, target, recipe, results, console)
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
    task = tasks.load(suite.task or section.name, **suite.options)
    problems = task.problems(suite.split, suite.count)
    contained = None
    if look_for_overlap:
        contained = contained_in_training(tasks.load(section.name, **section.options), section, problems)
    about = {"responses": str(responses), "versions": dict(versions())}
    with _directory(recipe, about, target, output) as directory:
        result = score(
            problems,
            task,
            responses,
            out=_place(directory, target, suite),
            contained=contained,
            model=target.about,
            environment={**about, "is_benchmark": suite.task is not None},
        )
        _finish(directory, target, recipe, [result], console)
    return directory.path


def _directory(recipe: Recipe, about: Mapping[str, object], target: Target, output: Path | None) -> RunDirectory:
    """The run's own directory, or one for this model's evaluations, which may hold earlier ones.

    Raises:
        ValueError: it holds something else.
    """
    if target.run is not None and output is None:
        return RunDirectory.open(target.run)
    path = output or EVALUATIONS / recipe.name
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
    table = directory.path / "evaluations" / "results.md"
    table.write_text(markdown(results), encoding="utf-8")
    console.print(evaluation_table(results))
    console.print(f"responses and results: {directory.path}", soft_wrap=True, highlight=False)


def _with_earlier_suites(recipe: Recipe, directory: RunDirectory) -> Recipe:
    names = [s.name for s in recipe.evaluation.suites]
    then = parse_recipe(directory.recipe, source=str(directory.path / RECIPE)).evaluation.suites
    suites = [*(s for s in then if s.name not in names), *recipe.evaluation.suites]
    return recipe.model_copy(update={"evaluation": recipe.evaluation.model_copy(update={"suites": suites})})
