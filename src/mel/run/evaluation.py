"""Evaluation of a recipe's suites, before, between and after training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from mel import prompts, tasks
from mel.config import EvaluationSection, SuiteSection, TaskSection
from mel.evaluate.data_check import overlapping_ids
from mel.evaluate.result import EvaluationResult
from mel.evaluate.runner import SEED, evaluate
from mel.ports import Task
from mel.record.provenance import fingerprint, versions
from mel.record.run_directory import AFTER, BEFORE, RunDirectory
from mel.report.terminal import evaluation_progress
from mel.run.engines import Engine
from mel.run.wiring import Wiring, longest_prompt
from mel.types import Problem, Sampling


class Evaluator:
    """Evaluates the policy being trained on the suites of its recipe.

    Args:
        directory: where responses and results go, under `evaluations/<when>-<suite>`.
    """

    def __init__(self, wiring: Wiring, directory: RunDirectory, *, console: Console) -> None:
        self._wiring = wiring
        self._directory = directory
        self._console = console
        self.settings: EvaluationSection = wiring.recipe.evaluation

    def all_suites(self, when: str, model: Any) -> list[EvaluationResult]:
        """Every suite with all its samples.

        Args:
            when: `before` or `after` training.
        """
        size, name = self.settings.batch_size, self._wiring.recipe.name
        # Saved before it is evaluated, so that `mel eval RUN` meets the same weights.
        weights = fingerprint(self._wiring.model_path if when == "before" else str(self._directory.path / "model"))
        return [
            run_suite(
                self._wiring,
                suite,
                self._engine(model),
                out=self._directory.evaluation((BEFORE if when == "before" else AFTER) + suite.name),
                batch_size=size,
                model=before_training(name) if when == "before" else after_training(name),
                weights=weights,
                console=self._console,
            )
            for suite in self.settings.suites
        ]

    def between(self, step: int, model: Any, *, log: Callable[[Mapping[str, float]], None]) -> None:
        """Greedy Pass@1 every so many steps, unless it is known already: a resumed run asks for its first step too."""
        every = self.settings.every
        if every is None or step % every:
            return
        rows = [row for row in self._directory.metrics.read() if row["step"] == step]
        if not any(name.startswith("evaluation/") for row in rows for name in row):
            log(self.greedy(model))

    def greedy(self, model: Any) -> dict[str, float]:
        """Greedy Pass@1 on the first suite, as a metric; nothing is kept of the responses."""
        suite = self.settings.suites[0]
        task, prompt_set = suite_task(self._wiring, suite)
        problems = task.problems(suite.split, suite.count)
        turns = [[{"role": "user", "content": prompt_set.solve(p.text)}] for p in problems]
        completions = self._engine(model).generator.generate(
            [self._wiring.chat.chat(t) for t in turns], Sampling(max_tokens=suite.max_tokens, temperature=0.0)
        )
        verdicts = task.verify(problems, [c.text for c in completions])
        return {f"evaluation/{suite.name}/pass_at_1": sum(v.is_correct for v in verdicts) / len(verdicts)}

    def _engine(self, model: Any) -> Engine:
        from mel.hosts.local import LocalGenerator

        generator = LocalGenerator(model, self._wiring.tokenizer, batch_size=self.settings.batch_size, seed=SEED)
        return Engine(name=f"transformers {str(model.dtype).removeprefix('torch.')}", generator=generator)


def before_training(recipe: str) -> str:
    """What results call the untrained policy of a run."""
    return f"{recipe} before training"


def after_training(recipe: str) -> str:
    """What results call the trained policy of a run, whoever evaluates it: the run itself or `mel eval`."""
    return f"{recipe} after training"


def run_suite(
    wiring: Wiring,
    suite: SuiteSection,
    engine: Engine,
    *,
    out: Path,
    batch_size: int,
    model: str,
    weights: str,
    console: Console,
    look_for_overlap: bool = True,
) -> EvaluationResult:
    """One suite with a progress bar; what `out` holds already is not generated again.

    Args:
        model, weights: in words, and the fingerprint.
        look_for_overlap: score also without the problems that the recipe's training set contains.
    """
    task, prompt_set = suite_task(wiring, suite)
    problems = task.problems(suite.split, suite.count)
    with evaluation_progress(console, f"evaluate {out.name}") as progress:
        return evaluate(
            problems,
            task,
            engine.generator,
            wiring.chat,
            prompt_set,
            out=out,
            max_tokens=suite.max_tokens,
            k=suite.k,
            temperature=suite.temperature,
            batch_size=batch_size,
            contained=contained_in_training(wiring.task, wiring.recipe.task, problems) if look_for_overlap else None,
            model=model,
            weights=weights,
            engine=engine.name,
            environment={"versions": dict(versions()), "is_benchmark": suite.task is not None},
            progress=progress,
        )


def longest_sequence(wiring: Wiring, suite: SuiteSection, *, positions: int | None) -> int:
    """Tokens of the longest prompt of a suite with its response.

    Args:
        positions: of the model; None for one that names no limit.

    Raises:
        ValueError: the model has fewer.
    """
    task, prompt_set = suite_task(wiring, suite)
    prompt = longest_prompt(task.problems(suite.split, suite.count), prompt_set, wiring.chat)
    longest = prompt + suite.max_tokens
    if positions is not None and longest > positions:
        raise ValueError(
            f"evaluation of {suite.name}: longest prompt {prompt} + max_tokens {suite.max_tokens} = {longest} tokens, "
            f"but the model has {positions} positions: responses may have at most {max(positions - prompt, 0)}; lower "
            f"--max-tokens, or max_tokens of the recipe's suites"
        )
    return longest


def contained_in_training(task: Task, section: TaskSection, problems: Sequence[Problem]) -> frozenset[str]:
    """Ids of the problems that the recipe's training set contains, by their 13-grams.

    Args:
        task, section: what the recipe trains on.
    """
    return overlapping_ids(task.problems(section.split, section.count), problems)


def suite_task(wiring: Wiring, suite: SuiteSection) -> tuple[Task, prompts.PromptSet]:
    """The task of a suite and its prompts: the recipe's own with changed options, or another one."""
    section = wiring.recipe.task
    if suite.task is None:
        return tasks.load(section.name, **{**section.options, **suite.options}), wiring.prompt_set
    task = tasks.load(suite.task, **suite.options)
    return task, prompts.load(section.prompts or task.prompt_set)
