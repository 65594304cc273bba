"""Replay: re-attempt a problem with the meta-experience at hand and see whether it helps (eq. 6)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal, TypeVar

from mel.ports import Tokenizer
from mel.prompts import PromptSet
from mel.prompts.ask import ask_about
from mel.types import (
    Attempt,
    Candidate,
    Completion,
    Group,
    MetaExperience,
    Replayed,
    TokenIds,
    Truth,
    Verdict,
)

T = TypeVar("T")

Start = Literal["start", "bifurcation"]
Accept = Literal["right", "uplift", "all"]


def replay_prefix(candidate: Candidate, tokenizer: Tokenizer, *, start: Start) -> TokenIds:
    """Tokens of y- that the replay keeps: none from the start, all before s* from the bifurcation."""
    if start == "start" or candidate.experience is None:
        return ()
    step = candidate.pair.wrong_steps[candidate.experience.bifurcation - 1]
    wrong = candidate.pair.wrong.token_ids
    return wrong[: tokenizer.token_index(wrong, step.start)]


def replay_prompt(group: Group, experience: MetaExperience, tokenizer: Tokenizer, prompts: PromptSet) -> TokenIds:
    """Tokens to sample a replay from, before the kept beginning of y-: x with M in the user's turn.

    Args:
        group: of the rollouts of x, whose opening comes first here too.
    """
    return ask_about(group, prompts.replay(group.problem.text, experience.text), tokenizer)


def sibling(of: Group, groups: Sequence[Group]) -> Group | None:
    """The group on whose problem M can be tried instead of its own; None if there is none.

    Of the other problems that not every rollout solved, the one whose text shares most words with that of `of`: the
    number of words in both over that in either, numbers left out; of several alike the first.
    """
    own = _words(of.problem.text)
    others = [g for g in groups if g.problem.id != of.problem.id and g.pass_rate < 1.0]

    def likeness(group: Group) -> float:
        words = _words(group.problem.text)
        return len(own & words) / max(len(own | words), 1)

    return max(others, key=likeness, default=None)


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W\d_]+", text.casefold()))


def strangers(notes: Sequence[tuple[str, T]]) -> list[T | None]:
    """For each note one about another problem, for a control: does M's content matter?

    The notes are rotated past the largest number of them that share a problem, those of one problem side by side, so
    that each note is shown once. None where the rotation meets the same problem again, which happens only if one
    problem has more than half of all notes.

    Args:
        notes: each behind the id of the problem that it is about.
    """
    ids = [problem for problem, _ in notes]
    order = sorted(range(len(ids)), key=lambda i: ids.index(ids[i]))
    shift = max(Counter(ids).values(), default=0)
    shown = {i: order[(place + shift) % len(order)] for place, i in enumerate(order)}
    return [notes[shown[i]][1] if ids[shown[i]] != own else None for i, own in enumerate(ids)]


def judge(
    candidate: Candidate,
    prefix_ids: TokenIds,
    completions: Sequence[Completion],
    responses: Sequence[str],
    verdicts: Sequence[Verdict],
    *,
    accept: Accept,
    margin: float,
    truth: Truth | None = None,
    prompt_ids: TokenIds = (),
    on: Group | None = None,
) -> Replayed:
    """Decide whether a candidate joins D_M*; it comes back either way, since the retention rate is a result.

    Args:
        completions, responses, verdicts: one of each per attempt, at least one, in sampling order.
        accept: `right`: at least one attempt is right (the paper's rule for one sample). `all`: every attempt is.
            `uplift`: the success rate exceeds the group's pass rate by more than `margin`; the pass rate
            estimates success without M, which a problem that is easy anyway would reach too.
        margin: 0 to 1, used by `uplift` only.
        truth: what the task knows of the candidate, carried on.
        prompt_ids: what the attempts were sampled from, before the prefix.
        on: whose problem they solve and whose pass rate they must exceed, if not the candidate's own.
    """
    attempts = tuple(
        Attempt(completion=c, response=r, verdict=v) for c, r, v in zip(completions, responses, verdicts, strict=True)
    )
    rate = sum(v.is_correct for v in verdicts) / len(verdicts)
    if accept == "uplift":
        # Rates are quotients: 8/10 must not beat 7/10 by "more than" 1/10 for a rounding error.
        is_kept = rate - (on or candidate.pair.group).pass_rate > margin + 1e-9
        reason = "kept" if is_kept else "no_uplift"
    else:
        is_kept = rate == 1.0 if accept == "all" else rate > 0.0
        reason = "kept" if is_kept else "failed_replay"
    return Replayed(
        candidate=candidate,
        prefix_ids=prefix_ids,
        attempts=attempts,
        is_kept=is_kept,
        reason=reason,
        truth=truth or Truth(),
        prompt_ids=prompt_ids,
        on=on,
    )


def rejected(candidate: Candidate, reason: str, *, truth: Truth | None = None) -> Replayed:
    """The ledger's entry for a candidate that was rejected before its replay."""
    return Replayed(
        candidate=candidate, prefix_ids=(), attempts=(), is_kept=False, reason=reason, truth=truth or Truth()
    )
