"""What comes out of the experience store: one frozen value per row, and the counts over all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredAttempt:
    """One replay of one candidate.

    Args:
        response: all that the verifier saw; from a bifurcation it begins with the kept part of the wrong solution.
        continuation: what the policy wrote in this replay.
        num_tokens: length of the continuation.
    """

    response: str
    continuation: str
    num_tokens: int
    is_correct: bool
    reason: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredExperience:
    """One candidate, kept or not, as it was written.

    Args:
        id: its number in this store, in the order of writing; what `mel experiences show` takes.
        step: the optimizer step, 1-based, that it was made in.
        rank, index: with `step` unique; `index` counts the candidates of that rank in pair order.
        right_steps, wrong_steps: half-open character spans of the numbered steps, first step first.
        wrong_reason: the verifier's word about the wrong solution.
        bifurcation: s*, 1-based; None, like critique, heuristic and experience, if nothing could be parsed.
        experience: M as a replay prompt quotes it.
        raw: the whole completion, unparsed.
        num_tokens: length of that completion.
        failure: why there is no experience; empty if there is one.
        reason: why it was kept or not.
        pass_rate: of the group both solutions are from.
        success_rate: of the replays; None if none was made.
        prefix_tokens: tokens of the wrong solution that the replay continued; 0 for a replay from the start.
        first_error: the true first wrong step; None if the task does not know.
        rule_truth: whether the heuristic is true; None if the task cannot tell.
    """

    id: int
    step: int
    rank: int
    index: int
    problem_id: str
    problem: str
    answer: str
    pass_rate: float
    right: str
    wrong: str
    right_steps: tuple[tuple[int, int], ...]
    wrong_steps: tuple[tuple[int, int], ...]
    wrong_index: int
    wrong_reason: str
    bifurcation: int | None
    critique: str | None
    heuristic: str | None
    experience: str | None
    raw: str
    num_tokens: int
    failure: str
    states_answer: bool
    reason: str
    is_kept: bool
    success_rate: float | None
    prefix_tokens: int
    first_error: int | None
    rule_truth: bool | None
    attempts: tuple[StoredAttempt, ...] = ()

    @property
    def is_parsed(self) -> bool:
        return not self.failure


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Ledger:
    """Counts over a whole run: each line is a part of the one before.

    Args:
        candidates: pairs for which an experience was asked.
        parsed: of these, the ones with s*, C and H.
        replayed: of these, the ones that reached a replay.
        kept: of these, the ones whose replay was accepted.
        leaks: parsed ones that state the final answer.
        reasons: `reason` -> count over all candidates, most frequent first.
        located, locatable: parsed ones whose s* is the true first error, of those where it is known.
        true_rules, checkable_rules: parsed ones whose heuristic is true, of those where it can be told.
    """

    candidates: int
    parsed: int
    replayed: int
    kept: int
    leaks: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    located: int
    locatable: int
    true_rules: int
    checkable_rules: int
