"""What is asked: one task per file, and this table, which finds them by name.

A task is anything that fills `mel.ports.Task`. The table holds `module:attribute` strings, so that naming a
task imports its module only, and a task with heavy dependencies costs nothing to those who do not ask it.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

from mel.naming import did_you_mean
from mel.ports import Task
from mel.value_check import check, model_of

TASKS: dict[str, str] = {
    "aime24": "mel.tasks.benchmarks:aime24",
    "aime25": "mel.tasks.benchmarks:aime25",
    "amc23": "mel.tasks.benchmarks:amc23",
    "dapo_math": "mel.tasks.dapo_math:dapo_math",
    "dataset": "mel.tasks.dataset:dataset",
    "gsm8k": "mel.tasks.gsm8k:gsm8k",
    "humaneval": "mel.tasks.humaneval:humaneval",
    "math": "mel.tasks.hendrycks_math:math",
    "math500": "mel.tasks.benchmarks:math500",
    "mbpp": "mel.tasks.mbpp:mbpp",
    "olympiadbench": "mel.tasks.benchmarks:olympiadbench",
    "programs": "mel.tasks.programs:programs",
    "puzzles": "mel.tasks.puzzles:Puzzles",
    "rewriting": "mel.tasks.rewriting:rewriting",
    "story_counts": "mel.tasks.story_counts:StoryCounts",
    "straight_line": "mel.tasks.straight_line:straight_line",
    "tales": "mel.tasks.tales:Tales",
}
"""Name in a recipe -> the class or function that makes the task from its options."""


def load(name: str, **options: Any) -> Task:
    """The task of that name, made with these options.

    Raises:
        ValueError: an unknown name or option (the nearest valid one is named), or a value the task refuses.
    """
    if name not in TASKS:
        raise ValueError(f"task: expected one of {', '.join(sorted(TASKS))}; got {name!r}{did_you_mean(name, TASKS)}")
    module, attribute = TASKS[name].split(":")
    factory = getattr(import_module(module), attribute)
    _check_options(name, factory, options)
    return factory(**options)


def load_benchmark(name: str, **options: Any) -> Task:
    """The task of that name to evaluate on: no problem is left out because another one asks the same.

    Raises:
        ValueError: as `load`.
    """
    task = load(name, **options)
    as_benchmark = getattr(task, "as_benchmark", None)
    return as_benchmark() if as_benchmark is not None else task


def _check_options(name: str, factory: Any, options: dict[str, Any]) -> None:
    parameters = inspect.signature(factory, eval_str=True).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = [p.name for p in parameters]
    for option in options:
        if option not in known:
            takes = ", ".join(known) or "none"
            raise ValueError(f"task {name}: unknown option {option!r}; it takes {takes}{did_you_mean(option, known)}")
    needed = [p.name for p in parameters if p.default is p.empty]
    check(model_of({p.name: p.annotation for p in parameters}, needed=needed), options, at=f"task {name}: options")
