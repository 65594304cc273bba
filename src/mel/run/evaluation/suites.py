"""One suite of a recipe: its task and how it is asked, whether it fits the model, and its evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mel import prompts, tasks
from mel.config import SuiteSection, TaskSection
from mel.evaluate.evaluation import evaluate
from mel.evaluate.result import EvaluationResult
from mel.evaluate.training_data import overlapping_ids
from mel.ports import Ask, Task
from mel.prompts.ask import PlainAsk
from mel.record.provenance import versions
from mel.report.terminal import evaluation_progress
from mel.run.evaluation.engines import Engine
from mel.run.wiring import Wiring, longest_prompt
from mel.tasks.account import left_out
from mel.types import Problem


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
    task, ask = suite_task(wiring, suite)
    problems = task.problems(suite.split, suite.count)
    with evaluation_progress(console, f"evaluate {out.name}") as progress:
        return evaluate(
            problems,
            task,
            engine.generator,
            wiring.chat,
            ask,
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
            left_out=left_out(task, suite.split),
            progress=progress,
        )


def longest_sequence(wiring: Wiring, suite: SuiteSection, *, positions: int | None) -> int:
    """Tokens of the longest prompt of a suite with its response.

    Args:
        positions: of the model; None for one that names no limit.

    Raises:
        ValueError: the model has fewer.
    """
    task, ask = suite_task(wiring, suite)
    prompt = longest_prompt(task.problems(suite.split, suite.count), ask, wiring.chat)
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


def suite_task(wiring: Wiring, suite: SuiteSection) -> tuple[Task, Ask]:
    """The task of a suite and how it is asked: the recipe's own with changed options, or another one."""
    section = wiring.recipe.task
    if suite.task is None:
        return tasks.load_benchmark(section.name, **{**section.options, **suite.options}), wiring.ask
    task = tasks.load_benchmark(suite.task, **suite.options)
    return task, PlainAsk(prompts=prompts.load(section.prompts or task.prompt_set))
