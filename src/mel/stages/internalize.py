"""Internalize: what of a kept meta-experience is trained, and in which context (eq. 7 and its alternatives)."""

from __future__ import annotations

from typing import Literal

from mel.ports import Steps, Tokenizer
from mel.types import Attempt, Replayed, Row, TokenIds

Target = Literal["experience", "heuristic", "step", "solution"]
Context = Literal["retrospective", "question", "prefix"]

ALLOWED: dict[Target, tuple[Context, ...]] = {
    "experience": ("retrospective", "question"),
    "heuristic": ("retrospective", "question"),
    "step": ("prefix",),
    "solution": ("question", "prefix"),
}
"""Contexts that make sense per target: a step continues a prefix, an experience is about a whole pair."""


def internalize(
    replayed: Replayed, tokenizer: Tokenizer, steps: Steps, *, target: Target, context: Context
) -> Row | str:
    """The row that teaches a kept experience, or one word that says why there is none.

    Args:
        target: `experience`: the whole completion that holds M, as sampled, reasoning and end of sequence included
            (the paper). `heuristic`: H alone. `step`: the first step of the accepted continuation. `solution`: all
            of the accepted replay, with the beginning of y- if the context lacks it. Of several accepted
            attempts the first is taken.
        context: `retrospective`: [I, x, y+, y-] (the paper). `question`: x alone. `prefix`: x and y- before s*.
            Only the first contains M's sources. None contains M, except what was written before H for `heuristic`.

    Returns:
        A `Row`, or `not_kept`, `no_step` (the continuation has no step where the prefix ends).
    """
    experience = replayed.candidate.experience
    if not replayed.is_kept or experience is None:
        return "not_kept"
    group = replayed.candidate.pair.group
    if target == "experience":
        # Paper: M alone. What was reasoned before M is trained too, for M was drawn after it.
        base = replayed.candidate.context_ids if context == "retrospective" else group.prompt_ids
        return _row(base, replayed.candidate.completion.token_ids)
    if target == "heuristic":
        return _heuristic_row(replayed, tokenizer, context=context)
    attempt = next(a for a in replayed.attempts if a.verdict.is_correct)
    base = group.prompt_ids + (replayed.prefix_ids if context == "prefix" else ())
    if target == "solution":
        whole = (
            attempt.completion.token_ids if context == "prefix" else replayed.prefix_ids + attempt.completion.token_ids
        )
        return _row(base, whole)
    return _row(base, first_step(attempt, replayed.prefix_ids, tokenizer, steps))


def first_step(attempt: Attempt, prefix_ids: TokenIds, tokenizer: Tokenizer, steps: Steps) -> TokenIds:
    """Tokens of the continuation up to the end of the step it begins with; empty if it begins with none."""
    ids = prefix_ids + attempt.completion.token_ids
    kept_chars = len(tokenizer.decode(prefix_ids))
    step = next((s for s in steps(attempt.response) if s.end > kept_chars), None)
    if step is None:
        return ()
    return ids[len(prefix_ids) : tokenizer.token_index(ids, step.end)]


def _heuristic_row(replayed: Replayed, tokenizer: Tokenizer, *, context: Context) -> Row | str:
    experience = replayed.candidate.experience
    assert experience is not None
    if context == "question":
        return _row(replayed.candidate.pair.group.prompt_ids, tokenizer.encode(experience.heuristic))
    completion = replayed.candidate.completion
    ids, start = completion.token_ids, completion.text.rfind(experience.heuristic)
    end = start + len(experience.heuristic)
    first = tokenizer.token_index(ids, start)
    # As the last section it ends with the sequence, and that end is learned too.
    last = tokenizer.token_index(ids, end) if completion.text[end:].strip() else len(ids)
    return _row(replayed.candidate.context_ids + ids[:first], ids[first:last])


def _row(context_ids: TokenIds, target_ids: TokenIds) -> Row | str:
    return Row(context_ids=context_ids, target_ids=target_ids) if target_ids else "no_step"
