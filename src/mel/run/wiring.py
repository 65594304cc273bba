"""From the names in a recipe to the things they stand for."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mel import methods, prompts, tasks
from mel.config import Recipe
from mel.plan import check_context
from mel.plan.context import completion_limit
from mel.ports import Ask, Inspectable, Task, Tokenizer
from mel.prompts.ask import PlainAsk
from mel.prompts.chat import ChatTokenizer
from mel.record import provenance
from mel.types import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Wiring:
    """What a recipe's names stand for."""

    recipe: Recipe
    task: Task
    prompt_set: prompts.PromptSet
    model_path: str
    tokenizer: Any
    chat: ChatTokenizer

    @property
    def ask(self) -> Ask:
        """How problems are put to the model."""
        return PlainAsk(prompts=self.prompt_set)


def wire(recipe: Recipe, *, model: str | None = None) -> Wiring:
    """Load task, prompts and tokenizer of a recipe.

    Args:
        model: used instead of the recipe's own.

    Raises:
        ValueError: whatever a part refuses, with its own advice.
    """
    from mel.hosts.load import load_tokenizer

    task = tasks.load(recipe.task.name, **recipe.task.options)
    model_path = model_directory(model or recipe.model.path)
    tokenizer = load_tokenizer(model_path, chat_template=recipe.model.chat_template)
    return Wiring(
        recipe=recipe,
        task=task,
        prompt_set=prompts.load(recipe.task.prompts or task.prompt_set),
        model_path=model_path,
        tokenizer=tokenizer,
        chat=ChatTokenizer(tokenizer),
    )


def model_directory(path: str) -> str:
    """A path, a hub id, or the directory of a shipped policy for `miniature:WORLD`.

    Raises:
        ValueError: no such world, or its policy is damaged.
    """
    scheme, _, world = path.partition(":")
    if scheme != "miniature":
        return path
    from mel.miniature import policies

    if not world.isdecimal():
        raise ValueError(f"model.path: expected miniature:WORLD with a number, got {path!r}")
    return str(policies.path(int(world)))


def build_method(wiring: Wiring) -> methods.Method:
    """The three slots of the recipe, filled."""
    recipe = wiring.recipe
    at = methods.Surroundings(
        tokenizer=wiring.chat,
        prompts=wiring.prompt_set,
        steps=wiring.task.steps,
        rollout_max_tokens=completion_limit(recipe),
        seed=recipe.seed,
        inspector=wiring.task if isinstance(wiring.task, Inspectable) else None,
    )
    return methods.build(
        at=at,
        carrier=recipe.carrier,
        credit=recipe.credit,
        auxiliaries=[auxiliary.settings for auxiliary in recipe.auxiliaries],
    )


def check_lengths(wiring: Wiring, problems: Sequence[Problem], config: Mapping[str, Any]) -> None:
    """Refuse a recipe whose longest sequence does not fit the model's or the engine's context.

    Args:
        problems: of the training set; the longest prompt is measured under the run's own tokenizer.
        config: of the model.

    Raises:
        ValueError: the phases that do not fit, with the numbers and what to turn.
    """
    prompt_set, chat = wiring.prompt_set, wiring.chat
    bare = (prompt_set.construct("", right="", wrong=""), prompt_set.replay("", experience=""))
    check_context(
        wiring.recipe,
        # A model of any family; one that names no limit has none to check.
        int(config.get("max_position_embeddings") or sys.maxsize),
        prompt_tokens=longest_prompt(problems, wiring.ask, chat),
        instruction_tokens=max(len(chat.chat(_turn(turn))) for turn in bare),
    )


def longest_prompt(problems: Sequence[Problem], ask: Ask, chat: Tokenizer) -> int:
    """Tokens of the longest solve prompt, chat template included; 0 for no problem."""
    return max((len(chat.chat(ask(p))) for p in problems), default=0)


def num_processes() -> int:
    """How many processes a launcher started; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _turn(content: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": content}]


def environment(wiring: Wiring) -> dict[str, object]:
    """What a run records of where it ran and of what its parts declare."""
    return provenance.environment(
        processes=num_processes(),
        seed=wiring.recipe.seed,
        recipe_sha256=wiring.recipe.sha256(),
        prompts={wiring.prompt_set.name: wiring.prompt_set.sha256},
        model=wiring.model_path,
        rates={a.settings.prefix(): list(a.settings.rates) for a in wiring.recipe.auxiliaries},
    )
