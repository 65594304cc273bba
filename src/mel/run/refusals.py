"""Checks before a run begins, of what would fail or hang hours later."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from mel.config import EvaluationSection, Recipe
from mel.launch import num_processes, shards_states, shards_weights
from mel.model_path import is_adapter
from mel.plan import check_context, least_bytes
from mel.plan.batch import batch_of
from mel.plan.layout import assumed_layout
from mel.ports import Ask, Tokenizer
from mel.types import Problem
from mel.value_check import shown

GIB = 2**30


def refuse_evaluating_shards(section: EvaluationSection) -> None:
    """Refuse to evaluate sharded weights within the run: the main process would wait for the others forever."""
    if section.suites and (section.after or section.every) and shards_weights():
        raise ValueError(
            "evaluation: the launcher shards the weights (FSDP or ZeRO-3), and within a run one process evaluates: set "
            "evaluation.after: false and evaluation.every: null, and give `mel eval RUN` afterwards"
        )


PACKAGES = {
    ("use_vllm", True): ("vllm", "docs/engines.md says how it is installed; or set trainer.use_vllm: false"),
    ("use_liger_kernel", True): ("liger_kernel", "pip install liger-kernel, or set trainer.use_liger_kernel: false"),
    ("report_to", "wandb"): ("wandb", "pip install wandb, or leave it out; the run directory has everything it gets"),
    ("report_to", "trackio"): ("trackio", "pip install trackio, or leave it out; the run directory has everything"),
    ("report_to", "mlflow"): (
        "mlflow",
        "pip install mlflow, or leave it out; the run directory has everything it gets",
    ),
    ("optim", "adamw_8bit"): ("bitsandbytes", "pip install bitsandbytes, or choose another optimizer"),
    ("optim", "adamw_bnb_8bit"): ("bitsandbytes", "pip install bitsandbytes, or choose another optimizer"),
    ("optim", "paged_adamw_8bit"): ("bitsandbytes", "pip install bitsandbytes, or choose another optimizer"),
}
"""Field of the trainer and its value -> the module that it needs, and what to do without it."""


def refuse_missing_packages(recipe: Recipe) -> None:
    """Refuse what needs a package that is not installed; nothing is imported to find out.

    Raises:
        ValueError: the key, the package and what to do.
    """
    for (name, value), (module, advice) in PACKAGES.items():
        given = recipe.trainer.get(name)
        if value in (given if isinstance(given, list) else [given]) and find_spec(module) is None:
            raise ValueError(
                f"trainer.{name}: expected something that is installed, got {shown(value)}, which needs the package "
                f"{module}: {advice}"
            )


def refuse_batch(recipe: Recipe) -> None:
    """Refuse sizes of a batch that do not go together, by what the launcher says of the processes.

    Raises:
        ValueError: the numbers and what they must be.
    """
    # Without auxiliaries TRL itself takes a group that lies on two processes.
    if recipe.auxiliaries or num_processes() == 1:
        batch_of(recipe, assumed_layout(num_processes()))


def refuse_model(path: str) -> int | None:
    """Positions of a model that training can start from; None if its config.json names no limit.

    Raises:
        ValueError: no such model, or an adapter: what is made of its base (another adapter, a reference) would lack it.
    """
    from mel.hosts.load import context_length

    if is_adapter(path):
        raise ValueError(
            f"model.path: {path} is a LoRA adapter, and training starts from a whole model: merge it first, "
            f"mel merge {path} --output DIR, and give DIR"
        )
    return context_length(path)


def check_lengths(
    recipe: Recipe,
    problems: Sequence[Problem],
    ask: Ask,
    chat: Tokenizer,
    *,
    instructions: Sequence[str],
    at: int | None,
) -> None:
    """Refuse a recipe whose longest sequence does not fit the model's or the engine's context.

    Args:
        problems: of the training set; the longest prompt is measured under the run's own tokenizer.
        instructions: user turns that the auxiliaries read, with nothing filled in.
        at: positions of the model.

    Raises:
        ValueError: the phases that do not fit, with the numbers and what to turn.
    """
    check_context(
        recipe,
        # A model of any family; one that names no limit has none to check.
        at or sys.maxsize,
        prompt_tokens=longest_prompt(problems, ask, chat),
        instruction_tokens=longest_instruction(instructions, chat),
    )


def longest_prompt(problems: Sequence[Problem], ask: Ask, chat: Tokenizer) -> int:
    """Tokens of the longest prompt that asks, chat template included; 0 for no problem."""
    return max((len(chat.chat(ask(p))) for p in problems), default=0)


def longest_instruction(instructions: Sequence[str], chat: Tokenizer) -> int:
    """Tokens of the longest of these user turns, chat template included; 0 for none."""
    return max((len(chat.chat([{"role": "user", "content": turn}])) for turn in instructions), default=0)


def check_memory(recipe: Recipe, model_path: str) -> None:
    """Refuse a recipe whose weights, states and models beside the policy alone exceed the GPU; `mel plan` says more.

    Only what surely cannot fit is refused: nothing where states are sharded or offloaded, where no GPU trains, or for
    a model or an optimizer whose sizes a plan does not know.

    Raises:
        ValueError: with the numbers.
    """
    from mel.hosts.load import gpu_memory

    there = None if shards_states() else gpu_memory()
    if there is not None:
        refuse_memory(least_bytes(recipe, model_path, processes=num_processes()), there=there)


def refuse_memory(needed: float | None, *, there: int) -> None:
    """Refuse what needs more bytes than there are; None: that is not known."""
    if needed is not None and needed > there:
        raise ValueError(
            f"weights, gradients, optimizer states and the models beside the policy alone take {needed / GIB:.1f} GiB "
            f"on each GPU, and the GPU has {there / GIB:.1f} GiB: `mel plan` says which part is how large, and what to "
            "turn"
        )
