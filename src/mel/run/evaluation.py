"""Evaluation of a recipe's suites: before, between and after training, and as `mel eval`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from mel import prompts, tasks
from mel.config import EvaluationSection, Recipe, SuiteSection, parse_recipe
from mel.evaluate.result import EvaluationResult
from mel.evaluate.runner import evaluate, score
from mel.ports import Task
from mel.record.run_directory import RunDirectory
from mel.report.terminal import evaluation_progress, evaluation_table
from mel.run.wiring import Wiring, versions, wire
from mel.types import Sampling

SEED = 1234
"""Of all sampled evaluation: the same for every run, so that two policies answer under the same draw."""


class Evaluator:
    """Evaluates a policy on the suites of a recipe.

    Args:
        directory: where responses and results go, under `evaluations/<when>-<suite>`.
    """

    def __init__(self, wiring: Wiring, directory: RunDirectory, *, console: Console) -> None:
        self._wiring = wiring
        self._directory = directory
        self._console = console
        self.settings: EvaluationSection = wiring.recipe.evaluation

    def all_suites(self, when: str, model: Any) -> list[EvaluationResult]:
        """Every suite with all its samples."""
        return [self._suite(suite, f"{when}-{suite.name}", model) for suite in self.settings.suites]

    def greedy(self, model: Any) -> dict[str, float]:
        """Greedy Pass@1 on the first suite, as a metric; nothing is kept of the responses."""
        suite = self.settings.suites[0]
        task, prompt_set = suite_task(self._wiring, suite)
        problems = task.problems(suite.split, suite.count)
        turns = [[{"role": "user", "content": prompt_set.solve(p.text)}] for p in problems]
        completions = self._generator(model).generate(
            [self._wiring.chat.chat(t) for t in turns], Sampling(max_tokens=suite.max_tokens, temperature=0.0)
        )
        verdicts = task.verify(problems, [c.text for c in completions])
        return {f"evaluation/{suite.name}/pass_at_1": sum(v.is_correct for v in verdicts) / len(verdicts)}

    def _suite(self, suite: SuiteSection, name: str, model: Any) -> EvaluationResult:
        return run_suite(
            self._wiring,
            suite,
            self._generator(model),
            out=self._directory.evaluation(name),
            batch_size=self.settings.batch_size,
            model=f"{self._wiring.recipe.name} {name.partition('-')[0]} training",
            console=self._console,
        )

    def _generator(self, model: Any) -> Any:
        from mel.hosts.local import LocalGenerator

        return LocalGenerator(model, self._wiring.tokenizer, batch_size=self.settings.batch_size, seed=SEED)


def evaluate_model(recipe: Recipe, model: str, *, output: Path, console: Console) -> list[EvaluationResult]:
    """`mel eval`: every suite of the recipe on a model directory, resumable, printed as a table.

    Raises:
        ValueError: a recipe without suites, or no such model.
    """
    from mel.hosts.load import load_model
    from mel.hosts.local import LocalGenerator

    suites = recipe.evaluation.suites
    if not suites:
        raise ValueError(f"recipe {recipe.name}: evaluation.suites is empty; nothing to evaluate")
    wiring = wire(recipe, model=model)
    policy = load_model(wiring.model_path, dtype=recipe.model.dtype, attention=recipe.model.attention)
    batch_size = recipe.evaluation.batch_size
    results = [
        run_suite(
            wiring,
            suite,
            LocalGenerator(policy, wiring.tokenizer, batch_size=batch_size, seed=SEED),
            out=output / suite.name,
            batch_size=batch_size,
            model=model,
            console=console,
        )
        for suite in suites
    ]
    console.print(evaluation_table(results))
    return results


def score_responses(recipe: Recipe, model: str, responses: Path, *, output: Path, console: Console) -> EvaluationResult:
    """`mel eval --from`: score what somebody else generated for the recipe's one suite.

    Raises:
        ValueError: another number of suites, or responses that do not match its problems.
    """
    suites = recipe.evaluation.suites
    if len(suites) != 1:
        names = ", ".join(s.name for s in suites)
        raise ValueError(f"mel eval --from: expected one benchmark, got {len(suites)} ({names}); name the one")
    suite = suites[0]
    task = tasks.load(suite.task or recipe.task.name, **suite.options)
    problems = task.problems(suite.split, suite.count)
    result = score(problems, task, responses, out=output / suite.name, model=model)
    console.print(evaluation_table([result]))
    return result


def benchmark_recipe(
    model: str, names: Sequence[str], *, k: int, temperature: float, max_tokens: int, chat_template: str | None
) -> Recipe:
    """A recipe that holds nothing but an evaluation on these tasks.

    Raises:
        ValueError: an unknown task, or a bad number.
    """
    for name in names:
        tasks.load(name)
    suite = {"k": k, "temperature": temperature, "max_tokens": max_tokens}
    table = {
        "name": "eval",
        "model": {"path": model, "chat_template": chat_template},
        "task": {"name": names[0]},
        "evaluation": {"suites": [{"name": name, "task": name, **suite} for name in names]},
    }
    return parse_recipe(table, source="mel eval")


def run_suite(
    wiring: Wiring,
    suite: SuiteSection,
    generator: Any,
    *,
    out: Path,
    batch_size: int,
    model: str,
    console: Console,
) -> EvaluationResult:
    """One suite with a progress bar; what `out` holds already is not generated again."""
    task, prompt_set = suite_task(wiring, suite)
    with evaluation_progress(console, f"evaluate {out.name}") as progress:
        return evaluate(
            task.problems(suite.split, suite.count),
            task,
            generator,
            wiring.chat,
            prompt_set,
            out=out,
            max_tokens=suite.max_tokens,
            k=suite.k,
            temperature=suite.temperature,
            batch_size=batch_size,
            model=model,
            environment={"versions": dict(versions()), "seed": SEED, "engine": "transformers"},
            progress=progress,
        )


def suite_task(wiring: Wiring, suite: SuiteSection) -> tuple[Task, prompts.PromptSet]:
    """The task of a suite and its prompts: the recipe's own with changed options, or another one."""
    section = wiring.recipe.task
    if suite.task is None:
        return tasks.load(section.name, **{**section.options, **suite.options}), wiring.prompt_set
    task = tasks.load(suite.task, **suite.options)
    return task, prompts.load(section.prompts or task.prompt_set)
