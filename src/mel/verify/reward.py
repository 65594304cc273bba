"""The verifier as a reward function for TRL's `GRPOTrainer(reward_funcs=[...])`, usable without the rest of mel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mel.column_text import gold_text
from mel.types import Message, Problem
from mel.verify.answers import AnswerFormat, last_boxed
from mel.verify.verifier import MathVerifier

RewardFunction = Callable[..., list[float]]


def as_reward_function(
    verifier: MathVerifier | None = None, *, answer_column: str = "answer", answer_format: AnswerFormat | None = None
) -> RewardFunction:
    """A function that gives 1.0 for a right response and 0.0 for any other, in TRL's calling convention.

    Args:
        verifier: shares its workers and counts; a new one over the shared pool by default.
        answer_column: column of the training set with the gold; a worked solution counts by its last box.

    Example:
        ``GRPOTrainer(..., reward_funcs=[as_reward_function(answer_column="solution")])``
    """
    judge = verifier or MathVerifier(answer_format)

    def math_reward(
        prompts: Sequence[str | Sequence[Message]] | None = None,
        completions: Sequence[str | Sequence[Message]] = (),
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float]:
        golds = columns.get(answer_column)
        if golds is None:
            has = sorted(name for name, value in columns.items() if isinstance(value, (list, tuple)))
            raise ValueError(f"expected a column {answer_column!r} with the answers, got {has}: set answer_column")
        questions = [_text(prompt) for prompt in prompts] if prompts is not None else [""] * len(completions)
        problems = [
            Problem(id=str(i), text=question, answer=_gold(gold, answer_column))
            for i, (question, gold) in enumerate(zip(questions, golds, strict=True))
        ]
        verdicts = judge.verify(problems, [_text(completion) for completion in completions])
        if log_metric is not None:
            for path, value in judge.metrics().items():
                log_metric(path, value)
        return [float(verdict.is_correct) for verdict in verdicts]

    return math_reward


def _gold(gold: Any, column: str) -> str:
    """The answer of a column's cell: a worked solution counts by its last box, an empty cell is unreadable."""
    text = gold_text(gold, column)
    return last_boxed(text) or text


def _text(turns: Any) -> str:
    """The text of the last message; a message without content (a tool call) says nothing."""
    if isinstance(turns, str) or not turns:
        return turns or ""
    return content_text(turns[-1].get("content"))


def content_text(content: Any) -> str:
    """A message's text, of which chat formats also make a list of parts; pictures and the like are left out."""
    if content is None or isinstance(content, str):
        return content or ""
    parts = [part if isinstance(part, str) else part.get("text") or "" for part in content]
    return "\n".join(part for part in parts if part)
