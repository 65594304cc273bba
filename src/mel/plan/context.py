"""The longest sequences a recipe can ask for, against what the model and the engine take."""

from __future__ import annotations

from dataclasses import dataclass

from mel.config import Recipe
from mel.methods import MetaExperienceSettings
from mel.plan.shapes import ModelShape

PROMPT_TOKENS = 1024
"""Longest problem with its solve instruction, where nobody has measured it."""

INSTRUCTION_TOKENS = 640
"""Construction or replay instruction with the chat template, where nobody has measured it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Longest:
    """The longest sequence of one phase, in tokens.

    Args:
        knob: what to turn to make it shorter.
    """

    phase: str
    prompt: int
    completion: int
    knob: str

    @property
    def tokens(self) -> int:
        return self.prompt + self.completion


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


def longest_sequences(
    recipe: Recipe, *, prompt_tokens: int = PROMPT_TOKENS, instruction_tokens: int = INSTRUCTION_TOKENS
) -> list[Longest]:
    """Per phase the longest sequence: rollout, construct, replay.

    A construction prompt holds the problem and two whole solutions unless `max_pair_tokens` bounds it; a replay
    holds the problem and M, and from the bifurcation the beginning of the wrong solution too.
    """
    limit = completion_limit(recipe)
    found = [Longest(phase="rollout", prompt=prompt_tokens, completion=limit, knob="trainer.max_completion_length")]
    for auxiliary in recipe.auxiliaries:
        found += _of_experience(auxiliary.settings, limit, prompt_tokens, instruction_tokens)
    return found


def longest_row(
    recipe: Recipe, *, prompt_tokens: int = PROMPT_TOKENS, instruction_tokens: int = INSTRUCTION_TOKENS
) -> Longest | None:
    """The longest row that an auxiliary can hand over; None without any."""
    limit = completion_limit(recipe)
    rows = [_row(a.settings, limit, prompt_tokens, instruction_tokens) for a in recipe.auxiliaries]
    return max(rows, key=lambda row: row.tokens, default=None)


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
        instruction_tokens: the longer of the construction and replay instructions, chat template included,
            without the problem, solutions or M.

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
    suites = [
        Longest(
            phase=f"evaluation of {suite.name}",
            prompt=prompt,
            completion=suite.max_tokens,
            knob="evaluation.suites[].max_tokens",
        )
        for suite in recipe.evaluation.suites
    ]
    faults = [_fault(item, name, limit) for item in found for name, limit in limits.items() if item.tokens > limit]
    faults += [
        _fault(item, "the model's max_position_embeddings", positions) for item in suites if item.tokens > positions
    ]
    if faults:
        raise ValueError(f"recipe {recipe.name}: sequences do not fit their context:\n  " + "\n  ".join(faults))
    return found


def _fault(item: Longest, name: str, limit: int) -> str:
    spare = limit - item.completion
    hint = f"{item.knob} (the prompt may have {spare} tokens)" if spare > 0 else item.knob
    raised = f", or raise {name}" if name.startswith("trainer.") else ""
    return (
        f"{item.phase}: prompt {item.prompt} + completion {item.completion} = {item.tokens} tokens, but {name} is "
        f"{limit}: lower {hint}{raised}"
    )


def _of_experience(s: MetaExperienceSettings, limit: int, prompt: int, instruction: int) -> list[Longest]:
    found = [
        Longest(
            phase="construct",
            prompt=_pair_prompt(s, limit, prompt, instruction),
            completion=s.construct_max_tokens,
            knob="auxiliaries[0].settings.max_pair_tokens",
        )
    ]
    if s.filter != "none":
        kept = limit if s.replay_from == "bifurcation" else 0
        found.append(
            Longest(
                phase="replay",
                prompt=prompt + instruction + s.construct_max_tokens + kept,
                completion=s.replay_max_tokens or limit,
                knob="auxiliaries[0].settings.replay_max_tokens",
            )
        )
    return found


def _pair_prompt(s: MetaExperienceSettings, limit: int, prompt: int, instruction: int) -> int:
    whole = prompt + instruction + 2 * limit
    return whole if s.max_pair_tokens is None else min(whole, s.max_pair_tokens)


def _row(s: MetaExperienceSettings, limit: int, prompt: int, instruction: int) -> Longest:
    """Context and target of the longest row; a step is at most a whole solution, and never longer with its prefix."""
    context, target = {
        "retrospective": (_pair_prompt(s, limit, prompt, instruction), s.construct_max_tokens),
        "question": (prompt, s.construct_max_tokens if s.target in ("experience", "heuristic") else limit),
        "prefix": (prompt, limit + (s.replay_max_tokens or limit)),
    }[s.context]
    return Longest(phase="row", prompt=context, completion=target, knob="auxiliaries[0].settings.max_pair_tokens")
