"""The experience table: the fields of `StoredExperience` are the ONE list of its columns.

Schema, rows, stored value, the trackers' table and the report page are made from it. A further column is one more
annotated field here and a line in docs/run_directory.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from mel.record.columns import Column, Spans
from mel.types import (
    Attempt,
    Candidate,
    Group,
    Message,
    MetaExperience,
    Pair,
    Problem,
    Replayed,
    Rollout,
    Step,
    TokenIds,
    Truth,
    Verdict,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """One candidate with its verdict, and where it was made: what a row is written from.

    A column names its value as an attribute of this, or as a path of attributes.

    Args:
        step: the optimizer step, 1-based, that it is trained in.
        index: its place among that step's candidates on this rank.
    """

    step: int
    replayed: Replayed
    rank: int = 0
    index: int = 0

    @property
    def candidate(self) -> Candidate:
        return self.replayed.candidate

    @property
    def pair(self) -> Pair:
        return self.candidate.pair

    @property
    def experience(self) -> MetaExperience | None:
        return self.candidate.experience

    @property
    def num_tokens(self) -> int:
        return len(self.candidate.completion.token_ids)

    @property
    def prefix_tokens(self) -> int:
        return len(self.replayed.prefix_ids)

    @property
    def success_rate(self) -> float | None:
        return self.replayed.success_rate if self.replayed.attempts else None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredAttempt:
    """One replay of one candidate; its fields are the columns of `attempts`, behind the keys.

    Args:
        response: all that the verifier saw; from a bifurcation it begins with the kept part of the wrong solution.
        continuation: what the policy wrote in this replay.
        num_tokens: length of the continuation.
    """

    response: Annotated[str, Column("response")]
    continuation: Annotated[str, Column("completion.text")]
    num_tokens: Annotated[int, Column(lambda attempt: len(attempt.completion.token_ids))]
    is_correct: Annotated[bool, Column("verdict.is_correct")]
    reason: Annotated[str, Column("verdict.reason")]
    detail: Annotated[str, Column("verdict.detail")]


def _later(_: Made) -> None:
    """What is not known when a candidate is written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredExperience:
    """One candidate, kept or not, as it was written.

    Args:
        id: its number in this store, in the order of writing; what `mel experiences show` takes.
        step: the optimizer step, 1-based, that it was made in.
        rank, index: with `step` unique; `index` counts the candidates of that rank in pair order.
        pass_rate: of the group both solutions are from.
        right_steps, wrong_steps: half-open character spans of the numbered steps, first step first.
        wrong_reason: the verifier's word about the wrong solution.
        bifurcation: s*, 1-based; None, like critique, heuristic and experience, if nothing could be parsed.
        experience: M as a replay prompt quotes it.
        raw: the whole completion, unparsed.
        num_tokens: length of that completion.
        failure: why there is no experience; empty if there is one.
        reason: why it was kept or not.
        success_rate: of the replays; None if none was made.
        prefix_tokens: tokens of the wrong solution that the replay continued; 0 for a replay from the start.
        first_error: the true first wrong step; None if the task does not know.
        rule_truth: whether the heuristic is true; None if the task cannot tell.
        concept: what the true first wrong step turns on; None if the task does not know.
        nll_then, nll_now: of `raw` after the prompt that asked for it, in nats per token, under a policy from before it
            was learned and under a later one; None until `mel experiences score`.
        nll_then_of, nll_now_of: which policies these are.
    """

    id: int
    step: Annotated[int, Column("step", page="drawn")]
    rank: Annotated[int, Column("rank", tracked=False, page="left out")]
    index: Annotated[int, Column("index", name="idx", tracked=False, page="left out")]
    problem_id: Annotated[str, Column("pair.problem.id", tracked=False, page="drawn")]
    problem: Annotated[str, Column("pair.problem.text", page="drawn")]
    answer: Annotated[str, Column("pair.problem.answer", tracked=False, page="drawn")]
    pass_rate: Annotated[float, Column("pair.group.pass_rate", page="drawn")]
    right: Annotated[str, Column("pair.right.text", name="right_text", tracked=False, page="drawn")]
    wrong: Annotated[str, Column("pair.wrong.text", name="wrong_text", tracked=False, page="drawn")]
    right_steps: Annotated[Spans, Column("pair.right_steps", tracked=False, page="drawn")]
    wrong_steps: Annotated[Spans, Column("pair.wrong_steps", tracked=False, page="drawn")]
    wrong_index: Annotated[int, Column("pair.wrong_index", tracked=False, page="left out")]
    wrong_reason: Annotated[str, Column("pair.wrong.verdict.reason", tracked=False, page="left out")]
    bifurcation: Annotated[int | None, Column("experience.bifurcation", page="drawn")]
    critique: Annotated[str | None, Column("experience.critique", page="drawn")]
    heuristic: Annotated[str | None, Column("experience.heuristic", page="drawn")]
    experience: Annotated[str | None, Column("experience.text", tracked=False, page="left out")]
    raw: Annotated[str, Column("candidate.completion.text", tracked=False, page="drawn")]
    num_tokens: Annotated[int, Column("num_tokens", tracked=False, page="left out")]
    failure: Annotated[str, Column("candidate.failure", tracked=False, page="left out")]
    states_answer: Annotated[bool, Column("candidate.states_answer", tracked=False, page="drawn")]
    is_kept: Annotated[bool, Column("replayed.is_kept", page="drawn")]
    reason: Annotated[str, Column("replayed.reason", page="drawn")]
    success_rate: Annotated[float | None, Column("success_rate", tracked=False, page="left out")]
    prefix_tokens: Annotated[int, Column("prefix_tokens", tracked=False, page="drawn")]
    first_error: Annotated[int | None, Column("replayed.truth.first_error", tracked=False, page="drawn")]
    rule_truth: Annotated[bool | None, Column("replayed.truth.is_true_rule", tracked=False, page="drawn")]
    concept: Annotated[str | None, Column("replayed.truth.concept", tracked=False, page="drawn")]
    nll_then: Annotated[float | None, Column(_later, tracked=False, page="drawn")] = None
    nll_then_of: Annotated[str | None, Column(_later, tracked=False, page="drawn")] = None
    nll_now: Annotated[float | None, Column(_later, tracked=False, page="drawn")] = None
    nll_now_of: Annotated[str | None, Column(_later, tracked=False, page="drawn")] = None
    attempts: tuple[StoredAttempt, ...] = ()

    @property
    def is_parsed(self) -> bool:
        return not self.failure

    @property
    def is_located(self) -> bool | None:
        """Whether s* is the true first wrong step; None if that cannot be said."""
        return Truth(first_error=self.first_error).locates(self.bifurcation)


def pair_of(experience: StoredExperience, *, prompt_ids: TokenIds, opening: Sequence[Message] = ()) -> Pair:
    """The pair that it is about, as far as it is recorded: of its group these two rollouts, without their tokens.

    Args:
        prompt_ids, opening: of the group, which the store does not hold.
    """
    e = experience
    right, wrong = (
        Rollout(token_ids=(), text=text, verdict=Verdict(is_correct=is_right, reason=reason), reward=float(is_right))
        for text, is_right, reason in ((e.right, True, "right"), (e.wrong, False, e.wrong_reason))
    )
    problem = Problem(id=e.problem_id, text=e.problem, answer=e.answer)
    return Pair(
        group=Group(problem=problem, prompt_ids=prompt_ids, rollouts=(right, wrong), opening=tuple(opening)),
        right=right,
        wrong=wrong,
        wrong_index=1,
        right_steps=_steps(e.right_steps),
        wrong_steps=_steps(e.wrong_steps),
    )


def _steps(spans: Spans) -> tuple[Step, ...]:
    return tuple(Step(number=number, start=start, end=end) for number, (start, end) in enumerate(spans, 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Some experiences of a query, in order, and how many there are in all."""

    items: tuple[StoredExperience, ...]
    total: int
    offset: int

    def __iter__(self) -> Iterator[StoredExperience]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


SEARCHED = ("problem", "right_text", "wrong_text", "raw")
"""Columns a text search looks into; `raw` holds critique, heuristic and everything unparsed."""


def attempt_to_show(attempts: tuple[Attempt, ...]) -> Attempt | None:
    """One that was right if any was, else the first; None if none was made."""
    return min(attempts, key=lambda a: not a.verdict.is_correct, default=None)
