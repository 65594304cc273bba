"""The longest sequences a recipe can ask for, against what the model and the engine take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mel.config import Recipe
from mel.methods import Limits, Longest, Needs
from mel.plan.shapes import ModelShape

PROMPT_TOKENS = 1024
"""Longest problem with its solve instruction, where nobody has measured it."""

INSTRUCTION_TOKENS = 640
"""An auxiliary's longest instruction with the chat template, where nobody has measured it."""


def lengths(shape: ModelShape | int, prompt_tokens: int | None, instruction_tokens: int | None) -> tuple[int, int]:
    """Longest prompt and instruction: as given, else as assumed, and then at most an eighth of the positions each."""
    most = _positions(shape) // 8
    return (
        min(PROMPT_TOKENS, most) if prompt_tokens is None else prompt_tokens,
        min(INSTRUCTION_TOKENS, most) if instruction_tokens is None else instruction_tokens,
    )


def _positions(shape: ModelShape | int) -> int:
    return shape if isinstance(shape, int) else shape.max_positions


def completion_limit(recipe: Recipe) -> int:
    """Tokens of a rollout at most; GRPOConfig's default is 512."""
    return int(recipe.trainer.get("max_completion_length", 512))


def group_size(recipe: Recipe) -> int:
    """Rollouts per problem; GRPOConfig's default is 8."""
    return int(recipe.trainer.get("num_generations", 8))


def auxiliary_needs(
    recipe: Recipe, *, prompt_tokens: int = PROMPT_TOKENS, instruction_tokens: int = INSTRUCTION_TOKENS
) -> list[Needs]:
    """What each auxiliary can ask for at most, in their order; the knobs are keys of the recipe, as `--set` takes them.

    With several auxiliaries each row is called by whose it is.
    """
    limits = _limits(recipe, prompt_tokens, instruction_tokens)
    found: list[Needs] = []
    for index, auxiliary in enumerate(recipe.auxiliaries):
        needs, section = auxiliary.settings.needs(limits), f"auxiliaries.{index}."
        row = needs.row and needs.row.of_section("", section)
        if row and len(recipe.auxiliaries) > 1:
            row = replace(row, phase=f"{row.phase} of {auxiliary.name}")
        found.append(replace(_by_recipe(needs, section), row=row))
    return found


def credit_needs(
    recipe: Recipe, *, prompt_tokens: int = PROMPT_TOKENS, instruction_tokens: int = INSTRUCTION_TOKENS
) -> Needs:
    """What the credit rule can ask for at most; it hands over no rows."""
    limits = _limits(recipe, prompt_tokens, instruction_tokens)
    return _by_recipe(recipe.credit.settings.needs(limits), "credit.")


def _limits(recipe: Recipe, prompt_tokens: int, instruction_tokens: int) -> Limits:
    return Limits(
        prompt=prompt_tokens,
        instruction=instruction_tokens,
        completion=completion_limit(recipe),
        rollouts=group_size(recipe),
    )


def _by_recipe(needs: Needs, section: str) -> Needs:
    """The same with the knobs as keys of the recipe."""
    phases, scored = (tuple(x.of_section("", section) for x in given) for given in (needs.phases, needs.scored))
    return replace(needs, phases=phases, scored=scored)


def longest_sequences(
    recipe: Recipe, *, prompt_tokens: int = PROMPT_TOKENS, instruction_tokens: int = INSTRUCTION_TOKENS
) -> list[Longest]:
    """Per phase the longest sequence: the rollout, then whatever auxiliaries, credit and diagnostics generate."""
    rollout = Longest(
        phase="rollout",
        prompt=prompt_tokens,
        completion=completion_limit(recipe),
        knob="trainer.max_completion_length",
        per_group=group_size(recipe),
    )
    return [
        rollout,
        *(phase for of_one in _all_needs(recipe, prompt_tokens, instruction_tokens) for phase in of_one.phases),
    ]


def scored_sequences(
    recipe: Recipe, *, prompt_tokens: int = PROMPT_TOKENS, instruction_tokens: int = INSTRUCTION_TOKENS
) -> list[Longest]:
    """Per phase the longest sequence whose log-probabilities are asked for; the engine never sees these."""
    return [x for of_one in _all_needs(recipe, prompt_tokens, instruction_tokens) for x in of_one.scored]


def _all_needs(recipe: Recipe, prompt_tokens: int, instruction_tokens: int) -> list[Needs]:
    lengths = {"prompt_tokens": prompt_tokens, "instruction_tokens": instruction_tokens}
    measured = recipe.diagnostics.needs(_limits(recipe, prompt_tokens, instruction_tokens))
    return [*auxiliary_needs(recipe, **lengths), credit_needs(recipe, **lengths), measured]


def longest_rows(
    recipe: Recipe, *, prompt_tokens: int = PROMPT_TOKENS, instruction_tokens: int = INSTRUCTION_TOKENS
) -> list[Longest | None]:
    """Per auxiliary the longest row that it can hand over; None for one that hands over none."""
    needs = auxiliary_needs(recipe, prompt_tokens=prompt_tokens, instruction_tokens=instruction_tokens)
    return [of_one.row for of_one in needs]


def check_context(
    recipe: Recipe,
    shape: ModelShape | int,
    *,
    prompt_tokens: int | None = None,
    instruction_tokens: int | None = None,
) -> list[Longest]:
    """The longest sequence of each phase, all of which fit.

    Call it before a run starts, with the lengths measured under the run's own tokenizer.

    Args:
        shape: of the model, or just its `max_position_embeddings`, for models of any family.
        prompt_tokens: the longest problem in its solve prompt; None where it is not known, see `lengths`.
        instruction_tokens: the longest of the instructions that the auxiliaries read, chat template included,
            without anything filled in.

    Raises:
        ValueError: a phase that does not fit the model's positions or vLLM's context, with the numbers and what
            to turn.
    """
    positions = _positions(shape)
    limits = {"the model's max_position_embeddings": positions}
    engine_limit = recipe.trainer.get("vllm_max_model_length")
    if recipe.trainer.get("use_vllm", False) and engine_limit is not None:
        limits["trainer.vllm_max_model_length"] = int(engine_limit)
    prompt, instruction = lengths(shape, prompt_tokens, instruction_tokens)
    found = longest_sequences(recipe, prompt_tokens=prompt, instruction_tokens=instruction)
    faults = [_fault(item, name, limit) for item in found for name, limit in limits.items() if item.tokens > limit]
    faults += [
        _fault(item, "the model's max_position_embeddings", positions)
        for item in [
            *_suites(recipe, prompt),
            *scored_sequences(recipe, prompt_tokens=prompt, instruction_tokens=instruction),
        ]
        if item.tokens > positions
    ]
    if faults:
        raise ValueError(f"recipe {recipe.name}: sequences do not fit their context:\n  " + "\n  ".join(faults))
    return found


def _suites(recipe: Recipe, prompt_tokens: int) -> Sequence[Longest]:
    return [
        Longest(
            phase=f"evaluation of {suite.name}",
            prompt=prompt_tokens,
            completion=suite.max_tokens,
            knob="evaluation.suites[].max_tokens",
        )
        for suite in recipe.evaluation.suites
    ]


def _fault(item: Longest, name: str, limit: int) -> str:
    return item.fault(name, limit, or_else=f", or raise {name}" if name.startswith("trainer.") else "")
