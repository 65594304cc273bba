"""One suite of a recipe: its task and how it is asked, whether it fits the model, and its evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from mel import prompts, tasks
from mel.config import SuiteSection, TaskSection
from mel.evaluate.evaluation import evaluate
from mel.evaluate.result import EvaluationResult
from mel.evaluate.training_data import overlapping_ids
from mel.ports import Ask, Task, Tokenizer
from mel.prepared import Prepared, Suite
from mel.prompts.ask import PlainAsk
from mel.record.provenance import versions
from mel.report.terminal import evaluation_progress
from mel.run.evaluation.engines import Engine
from mel.run.refusals import longest_prompt
from mel.tasks.account import left_out


def run_suite(
    prepared: Prepared,
    suite: Suite,
    engine: Engine,
    *,
    out: Path,
    batch_size: int,
    model: str,
    weights: str,
    console: Console,
    look_for_overlap: bool = True,
    about: Mapping[str, object] | None = None,
) -> EvaluationResult:
    """One suite with a progress bar; what `out` holds already is not generated again.

    Args:
        model, weights: in words, and the fingerprint.
        look_for_overlap: score also without the problems that the recipe's training set contains.
        about: what else the result shall record.
    """
    section = suite.section
    with evaluation_progress(console, f"evaluate {out.name}") as progress:
        return evaluate(
            suite.problems,
            suite.task,
            engine.generator,
            prepared.chat,
            suite.ask,
            out=out,
            max_tokens=section.max_tokens,
            k=section.k,
            temperature=section.temperature,
            batch_size=batch_size,
            contained=overlapping_ids(prepared.problems, suite.problems) if look_for_overlap else None,
            model=model,
            weights=weights,
            engine=engine.name,
            environment={"versions": dict(versions()), "is_benchmark": section.task is not None, **(about or {})},
            left_out=left_out(suite.task, section.split),
            progress=progress,
        )


def suites_of(sections: Sequence[SuiteSection], training: TaskSection, ask: Ask) -> tuple[Suite, ...]:
    """The suites of a recipe with their problems.

    Args:
        training: what the recipe trains on.
        ask: how the recipe asks. A suite of another task is asked by that task's prompt set if the recipe names none,
            after the same opening.
    """
    return tuple(_suite(training, section, ask) for section in sections)


def _suite(training: TaskSection, section: SuiteSection, ask: Ask) -> Suite:
    task = suite_task(training, section)
    if section.task is not None:
        ask = PlainAsk(prompts=prompts.load(training.prompts or task.prompt_set), opening=training.turns)
    return Suite(section=section, task=task, ask=ask, problems=tuple(task.problems(section.split, section.count)))


def suite_task(training: TaskSection, section: SuiteSection) -> Task:
    """The task of a suite: that of the recipe with changed options, or another one."""
    if section.task is None:
        return tasks.load_benchmark(training.name, **{**training.options, **section.options})
    return tasks.load_benchmark(section.task, **section.options)


def check_suites(suites: Sequence[Suite], chat: Tokenizer, *, positions: int | None) -> int:
    """Tokens of the longest prompt of any suite with its response; 0 without suites.

    Args:
        positions: of the model; None for one that names no limit.

    Raises:
        ValueError: the model has fewer.
    """
    return max((_longest_sequence(suite, chat, positions) for suite in suites), default=0)


def _longest_sequence(suite: Suite, chat: Tokenizer, positions: int | None) -> int:
    limit, prompt = suite.section.max_tokens, longest_prompt(suite.problems, suite.ask, chat)
    longest = prompt + limit
    if positions is not None and longest > positions:
        raise ValueError(
            f"evaluation of {suite.section.name}: longest prompt {prompt} + max_tokens {limit} = {longest} tokens, "
            f"but the model has {positions} positions: responses may have at most {max(positions - prompt, 0)}; lower "
            f"--max-tokens, or max_tokens of the recipe's suites"
        )
    return longest
