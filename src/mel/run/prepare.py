"""A recipe is checked, what costs least first, and becomes one value that everything after it takes.

Names, then data, then the tokenizer (here torch is first imported), then lengths and memory by the model's
config.json, then the trainer's own arguments. No weight is read for any of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from mel import methods, prompts, tasks
from mel.config import Recipe
from mel.hosts import HOSTS
from mel.launch import num_processes
from mel.model_path import check_model
from mel.plan.context import completion_limit, group_size
from mel.ports import Inspectable, Task
from mel.prepared import Host, Prepared
from mel.prompts.ask import PlainAsk
from mel.prompts.chat import ChatTokenizer, template_text
from mel.record import provenance
from mel.run import refusals
from mel.run.checked import CheckedVerifier
from mel.run.evaluation.suites import check_suites, suites_of
from mel.run.recalling import recall_of
from mel.types import Problem


def prepare(recipe: Recipe, path: Path) -> Prepared:
    """The recipe, ready to be trained into the run directory at `path`.

    Raises:
        ValueError: whatever a part refuses, with its own advice.
    """
    refusals.refuse_evaluating_shards(recipe.evaluation)
    refusals.refuse_batch(recipe)
    refusals.refuse_missing_packages(recipe)
    task = tasks.load(recipe.task.name, **recipe.task.options)
    read = files_read(recipe)
    prompt_set = prompts.load(recipe.task.prompts or task.prompt_set, read)
    ask = PlainAsk(prompts=prompt_set, opening=recipe.task.turns)
    model_path = named_model(recipe.model.path, recipe.model.chat_template)
    problems = training_problems(recipe, task)
    for auxiliary in recipe.auxiliaries:
        auxiliary.settings.check(rollouts=group_size(recipe), problems=problems, inspector=_inspector(task))
    recall = recall_of(recipe)
    recipe.diagnostics.check(has_auxiliaries=bool(recipe.auxiliaries), inspector=_inspector(task))
    suites = suites_of(recipe.evaluation.suites, recipe.task, ask) if recipe.evaluation.is_within_run else ()
    tokenizer, chat = _tokenizer(recipe, model_path)
    positions = refusals.refuse_model(model_path)
    refusals.check_lengths(recipe, problems, ask, chat, instructions=[prompt_set.bare(n) for n in read], at=positions)
    check_suites(suites, chat, positions=positions)
    refusals.check_memory(recipe, model_path)
    return Prepared(
        recipe=recipe,
        name=recipe.name,
        task=task,
        verifier=CheckedVerifier(recipe.task.name, task),
        prompt_set=prompt_set,
        ask=ask,
        problems=problems,
        evaluation=recipe.evaluation,
        suites=suites,
        model_path=model_path,
        tokenizer=tokenizer,
        chat=chat,
        trainer=host_of(recipe).arguments(recipe, path),
        recall=recall,
    )


def prepare_evaluation(recipe: Recipe, *, reads_training_set: bool, prompt_files: Collection[str] = ()) -> Prepared:
    """The recipe's suites and model, ready to be evaluated; nothing is trained.

    Args:
        reads_training_set: its problems are needed too, to be looked through or asked.
        prompt_files: what is read of the prompt set besides the file that asks for a solution.

    Raises:
        ValueError: whatever a part refuses, with its own advice.
    """
    task = tasks.load(recipe.task.name, **recipe.task.options)
    prompt_set = prompts.load(recipe.task.prompts or task.prompt_set, prompt_files)
    ask = PlainAsk(prompts=prompt_set, opening=recipe.task.turns)
    model_path = named_model(recipe.model.path, recipe.model.chat_template)
    suites = suites_of(recipe.evaluation.suites, recipe.task, ask)
    problems = task.problems(recipe.task.split, recipe.task.count) if reads_training_set else ()
    tokenizer, chat = _tokenizer(recipe, model_path)
    return Prepared(
        recipe=recipe,
        name=recipe.name,
        task=task,
        verifier=CheckedVerifier(recipe.task.name, task),
        prompt_set=prompt_set,
        ask=ask,
        problems=tuple(problems),
        evaluation=recipe.evaluation,
        suites=suites,
        model_path=model_path,
        tokenizer=tokenizer,
        chat=chat,
    )


def files_read(recipe: Recipe) -> list[str]:
    """The files of its prompt set that the parts of the recipe read, besides the one that asks for a solution."""
    asking = (*(auxiliary.settings for auxiliary in recipe.auxiliaries), recipe.credit.settings)
    return list(dict.fromkeys(name for settings in asking for name in settings.prompts))


def training_problems(recipe: Recipe, task: Task) -> tuple[Problem, ...]:
    """The training set.

    Raises:
        ValueError: it is empty.
    """
    problems = tuple(task.problems(recipe.task.split, recipe.task.count))
    if not problems:
        raise ValueError(f"task {recipe.task.name}: split {recipe.task.split!r} holds no problem; nothing to train on")
    return problems


def named_model(path: str, chat_template: str | None) -> str:
    """The model as `model_directory` names it, after what can be refused before torch is imported.

    Raises:
        ValueError: no such model or chat template.
    """
    if chat_template is not None:
        template_text(chat_template)
    return model_directory(path)


def model_directory(path: str) -> str:
    """A path, a hub id, or the directory of a shipped policy for `miniature:WORLD`.

    Raises:
        ValueError: no model there, no such world, or its policy is damaged.
    """
    scheme, _, world = path.partition(":")
    if scheme != "miniature":
        check_model(path)
        return path
    from mel.miniature import policies

    if not world.isdecimal():
        raise ValueError(f"model.path: expected miniature:WORLD with a number, got {path!r}")
    return str(policies.path(int(world)))


def host_of(recipe: Recipe) -> Host:
    """The host that the recipe names; its package is imported only here."""
    return import_module(f"{HOSTS[recipe.host]}.fit").HOST


def build_method(prepared: Prepared) -> methods.Method:
    """The three slots of the recipe, filled."""
    recipe, task = prepared.recipe, prepared.task
    at = methods.Surroundings(
        tokenizer=prepared.chat,
        prompts=prepared.prompt_set,
        steps=task.steps,
        rollout_max_tokens=completion_limit(recipe),
        rollout_temperature=float(recipe.trainer.get("temperature", 1.0)),
        rollout_top_p=float(recipe.trainer.get("top_p", 1.0)),
        seed=recipe.seed,
        inspector=_inspector(task),
        problems=prepared.problems,
        ask=prepared.ask,
        recall=prepared.recall,
    )
    return methods.build(
        at=at,
        carrier=recipe.carrier.settings,
        credit=recipe.credit.settings,
        auxiliaries=[auxiliary.settings for auxiliary in recipe.auxiliaries],
        diagnostics=recipe.diagnostics,
    )


def _inspector(task: Task) -> Inspectable | None:
    """The task, if it knows true errors and rules."""
    return task if isinstance(task, Inspectable) else None


def environment(prepared: Prepared) -> dict[str, object]:
    """What a run records of where it ran and of what its parts declare."""
    recipe = prepared.recipe
    return provenance.environment(
        processes=num_processes(),
        seed=recipe.seed,
        recipe_sha256=recipe.sha256(),
        prompts={prepared.prompt_set.name: prepared.prompt_set.sha256},
        model=prepared.model_path,
        rates={a.settings.prefix(): list(a.settings.rates) for a in recipe.auxiliaries},
        words={f"{a.settings.prefix()}/{name}": w for a in recipe.auxiliaries for name, w in a.settings.words.items()},
    )


def _tokenizer(recipe: Recipe, model_path: str) -> tuple[Any, ChatTokenizer]:
    from mel.hosts.load import load_tokenizer, quiet_libraries

    quiet_libraries()
    tokenizer = load_tokenizer(model_path, chat_template=recipe.model.chat_template)
    # The trainer renders the rollouts' prompts with the same options.
    options = recipe.trainer.get("chat_template_kwargs")
    if not (options is None or isinstance(options, Mapping)):
        raise ValueError(
            f"trainer.chat_template_kwargs: expected a mapping of options to their values, got {options!r}"
        )
    return tokenizer, ChatTokenizer(tokenizer, template_options=options)
