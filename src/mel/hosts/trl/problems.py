"""From rows of a TRL dataset to problems and groups."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mel.column_text import gold_text
from mel.types import Message, Problem, Step
from mel.verify.reward import content_text

Example = Mapping[str, Any]

_ID_COLUMNS = ("problem_id", "id")
_TEXT_COLUMNS = ("problem", "question")
_ANSWER_COLUMNS = ("answer", "solution", "ground_truth")


def problem_of(example: Example) -> Problem:
    """The problem in a dataset row, whatever columns it has.

    The id is the column `problem_id` or `id`, else a hash of the prompt. The text is the column `problem` or
    `question`, else the text of the prompt's last user turn. The answer is the column `answer`, `solution` or
    `ground_truth`, else empty; a list of answers is joined by commas. `metadata` is the column of that name (a mapping,
    or JSON text of one; whatever else stands there is kept under the key `metadata`).

    Raises:
        ValueError: an answer that is an object: its column, and its keys to choose from.
    """
    prompt = example["prompt"]
    default_id = hashlib.sha256(json.dumps(prompt, sort_keys=True, default=str).encode()).hexdigest()[:16]
    return Problem(
        id=str(_first(example, _ID_COLUMNS, default_id)),
        text=str(_first(example, _TEXT_COLUMNS, _last_turn(prompt))),
        answer=_answer(example),
        metadata=_metadata(example.get("metadata")),
    )


def opening_of(prompt: Any) -> tuple[Message, ...]:
    """The turns of a conversation before the one that asks, just as they are; none of a prompt that is plain text.

    Raises:
        ValueError: the last turn is not the user's, so that nothing could be asked in its place.
    """
    if isinstance(prompt, str):
        return ()
    roles = [str(turn["role"]) for turn in prompt]
    if not roles or roles[-1] != "user":
        raise ValueError(
            f"prompt: expected a conversation that ends with the user's turn, in whose place auxiliaries ask, got the "
            f"roles {', '.join(roles) or '(none)'}: end it with the user's turn, or pass `method=plain_method()` (of "
            "mel.hosts.trl) for a method without auxiliaries"
        )
    return tuple(prompt[:-1])


def example_of(problem: Problem, messages: Sequence[Message]) -> dict[str, Any]:
    """A dataset row that `problem_of` turns back into the same problem.

    Args:
        messages: the conversation that asks for a solution.
    """
    return {
        "prompt": list(messages),
        "problem_id": problem.id,
        "problem": problem.text,
        "answer": problem.answer,
        "metadata": json.dumps(dict(problem.metadata)),
    }


def lines_as_steps(solution: str) -> tuple[Step, ...]:
    """Every line that is not blank is a step: the segmentation for a task that brings none of its own."""
    steps: list[Step] = []
    position = 0
    for line in solution.splitlines(keepends=True):
        if line.strip():
            steps.append(Step(number=len(steps) + 1, start=position, end=position + len(line)))
        position += len(line)
    return tuple(steps)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """One generation batch of this rank as TRL scored it, in the order of its rows.

    Args:
        examples: the dataset row of each rollout.
        completion_ids: the sampled tokens of each rollout.
        rewards: weighted sum of the reward functions per rollout, NaN where none applied.
        all_rewards: the same over all ranks, in rank order.
        rewards_per_function: value of every reward function per rollout.
    """

    examples: Sequence[Example]
    completion_ids: Sequence[Sequence[int]]
    rewards: Sequence[float]
    all_rewards: Sequence[float]
    rewards_per_function: Sequence[Sequence[float]]


def _metadata(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            # A column of the user's own that happens to bear this name.
            return {"metadata": value}
    if value is None:
        return {}
    return dict(value) if isinstance(value, Mapping) else {"metadata": value}


def _first(example: Example, columns: Sequence[str], default: Any) -> Any:
    return next((example[c] for c in columns if example.get(c) is not None), default)


def _answer(example: Example) -> str:
    """The answer as text; a list of them joined by commas, a number as it is written."""
    column = next((c for c in _ANSWER_COLUMNS if example.get(c) is not None), _ANSWER_COLUMNS[0])
    return gold_text(example.get(column), column)


def _last_turn(prompt: Any) -> str:
    if isinstance(prompt, str):
        return prompt
    return next((content_text(m["content"]) for m in reversed(prompt) if m["role"] == "user"), "")
