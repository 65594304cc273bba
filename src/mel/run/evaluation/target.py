"""What `mel eval` was asked for: a model, or a run's, on suites of a recipe or on benchmarks by name."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mel import tasks
from mel.config import Recipe, SuiteSection, load_recipe, parse_recipe
from mel.naming import comma_separated
from mel.ports import Task
from mel.record.run_directory import RECIPE, RunDirectory
from mel.tasks.loading import RecordTask

BATCH_SIZE = 32
"""Responses decoded together where no recipe says it: thousands of tokens each, of a model of any size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """The model that `mel eval` was given.

    Args:
        model: directory, hub id or miniature:WORLD.
        about: its name in results; the model of a run has the name that the run itself uses.
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
    if not 0.0 < temperature < math.inf:
        raise ValueError(
            f"--temperature: expected a number above 0 for the samples, got {temperature:g}; --k 0 alone makes none"
        )
    suites: list[SuiteSection] = []
    for word in comma_separated(words, is_one=_names_a_path):
        name, _, source = word.partition("=")
        options = {"source": source} if source else {}
        task = tasks.load(name, **options)
        if any(s.name == name for s in suites):
            raise ValueError(f"--benchmarks: expected every task once; {name} is named more often")
        sampling = {"k": k, "temperature": temperature, "max_tokens": max_tokens}
        suites.append(SuiteSection(name=name, task=name, options=options, split=_split_of(task), **sampling))
    return suites


def _names_a_path(word: str) -> bool:
    _, _, source = word.strip().partition("=")
    return bool(source) and Path(source.replace("{split}", "test")).expanduser().exists()


def _split_of(task: Task) -> str:
    """`test`, or the only split of a file that somebody brings."""
    splits = task.splits if isinstance(task, RecordTask) else ()
    return "test" if "test" in splits or not splits else splits[0]


def name_of(model: str) -> str:
    """A plain name for a model: the last part of a hub id, the last two of a path, a checkpoint's run among them."""
    parts = [p for p in re.split(r"[/\\:]", model) if p not in ("", ".", "..", "checkpoints")]
    kept = parts[-1:] if model.count("/") == 1 and not Path(model).exists() else parts[-2:]
    return re.sub(r"[^\w.-]+", "-", "-".join(kept)) or "model"


def after_training(recipe: str) -> str:
    """What results call the trained policy of a run, whoever evaluates it: the run itself or `mel eval`."""
    return f"{recipe} after training"
