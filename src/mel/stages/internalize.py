"""Internalize: what of a meta-experience is trained, in which context and by which loss (eq. 7 and others)."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from mel.ports import Steps, Tokenizer
from mel.types import Attempt, Divergence, MetaExperience, Reference, Replayed, Row, TokenIds

Target = Literal["experience", "heuristic", "heuristic+critique", "step", "solution"]
Context = Literal["retrospective", "question", "both", "prefix"]
Objective = Literal["nll", "policy_gradient", "distill"]

_WRITTEN: tuple[Context, ...] = ("retrospective", "question", "both")

ALLOWED: dict[Target, tuple[Context, ...]] = {
    "experience": _WRITTEN,
    "heuristic": _WRITTEN,
    "heuristic+critique": _WRITTEN,
    "step": ("prefix",),
    "solution": ("question", "prefix"),
}
"""Contexts that make sense per target: a step continues a prefix, an experience is about a whole pair."""


def internalize(
    replayed: Replayed, tokenizer: Tokenizer, steps: Steps, *, target: Target, context: Context
) -> tuple[Row, ...] | str:
    """The rows that teach a kept experience, or one word that says why there are none.

    Args:
        target: `experience`: the whole completion that holds M, as sampled, reasoning and end of sequence included
            (the paper). `heuristic`: H alone. `heuristic+critique`: C and H, without the reasoning before them and
            without s*. `step`: the first step of the accepted continuation. `solution`: all of the accepted replay,
            with the beginning of y- if the context lacks it. Of several accepted attempts the first is taken.
        context: `retrospective`: [I, x, y+, y-] (the paper). `question`: x alone. `both`: a row in each of these.
            `prefix`: x and y- before s*. Only the first contains M's sources. None contains M, except what was
            written before its part for `heuristic` and `heuristic+critique`. x is the problem that was replayed for a
            `solution`, and else the one that M is about.

    Returns:
        The rows, or `not_kept`, `no_step` (the continuation has no step where the prefix ends).
    """
    experience = replayed.candidate.experience
    if not replayed.is_kept or experience is None:
        return "not_kept"
    if target in ("step", "solution"):
        found = (_solved_row(replayed, tokenizer, steps, target=target, context=context),)
    else:
        contexts: tuple[Context, ...] = ("retrospective", "question") if context == "both" else (context,)
        found = tuple(_written_row(replayed, experience, tokenizer, target=target, context=c) for c in contexts)
    return found if all(row.target_ids for row in found) else "no_step"


def distilled(row: Row, replayed: Replayed, *, divergence: Divergence, top_k: int | None) -> Row:
    """The row of an accepted replay as `distill`: closer to what the policy itself says there with M before it.

    Args:
        row: of target `step` or `solution`.
        divergence, top_k: as for `Reference`.
    """
    asked = len(replayed.group.prompt_ids)
    context_ids = replayed.prompt_ids + row.context_ids[asked:]
    return replace(
        row, term="distill", reference=Reference(context_ids=context_ids, divergence=divergence, top_k=top_k)
    )


def reinforced(replayed: Replayed) -> Row | None:
    """The row that makes M likelier in C_retro as far as it helps, by policy gradient; None if it was not replayed.

    Its advantage is A_M = success of the replays - pass rate of the group, which estimates success without M. Kept or
    not, every M that was replayed has its row: those that hurt are made less likely.
    """
    if not replayed.attempts:
        return None
    target_ids = replayed.candidate.completion.token_ids
    advantage = replayed.success_rate - replayed.group.pass_rate
    return Row(
        context_ids=replayed.candidate.context_ids,
        target_ids=target_ids,
        term="policy",
        advantages=(advantage,) * len(target_ids),
        is_sampled=(True,) * len(target_ids),
    )


def first_step(attempt: Attempt, prefix_ids: TokenIds, tokenizer: Tokenizer, steps: Steps) -> TokenIds:
    """Tokens of the continuation up to the end of the step it begins with; empty if it begins with none.

    Where steps are contiguous, the white space behind a step is its own, and a token that holds it with the first word
    of the next step is not kept: the continuation then begins with the end of a step that says nothing more.
    """
    ids, kept = prefix_ids + attempt.completion.token_ids, len(tokenizer.decode(prefix_ids))
    step = next((s for s in steps(attempt.response) if attempt.response[kept : s.end].strip()), None)
    if step is None:
        return ()
    return ids[len(prefix_ids) : tokenizer.token_index(ids, step.end)]


def _solved_row(replayed: Replayed, tokenizer: Tokenizer, steps: Steps, *, target: Target, context: Context) -> Row:
    attempt = next(a for a in replayed.attempts if a.verdict.is_correct)
    prefix_ids, ids = replayed.prefix_ids, attempt.completion.token_ids
    kept = prefix_ids if context == "prefix" else ()
    base = replayed.group.prompt_ids + kept
    if target == "step":
        return Row(context_ids=base, target_ids=first_step(attempt, prefix_ids, tokenizer, steps))
    return Row(context_ids=base, target_ids=ids if kept else prefix_ids + ids)


def _written_row(
    replayed: Replayed, experience: MetaExperience, tokenizer: Tokenizer, *, target: Target, context: Context
) -> Row:
    candidate = replayed.candidate
    asked, completion = candidate.pair.group.prompt_ids, candidate.completion
    if target == "experience":
        # Paper: M alone. What was reasoned before M is trained too, for M was drawn after it.
        base = candidate.context_ids if context == "retrospective" else asked
        return Row(context_ids=base, target_ids=completion.token_ids)
    part = experience.heuristic if target == "heuristic" else experience.lesson
    if context == "question":
        return Row(context_ids=asked, target_ids=tokenizer.encode(part))
    ids, start = completion.token_ids, completion.text.rfind(part)
    end = start + len(part)
    first = tokenizer.token_index(ids, start)
    # As the last section it ends with the sequence, and that end is learned too.
    last = tokenizer.token_index(ids, end) if completion.text[end:].strip() else len(ids)
    return Row(context_ids=candidate.context_ids + ids[:first], target_ids=ids[first:last])
