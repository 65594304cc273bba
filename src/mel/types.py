"""The nouns of the method: frozen values that every stage, method and host exchanges.

Nothing here imports anything of mel. Token ids are tuples of ints, rates run from 0 to 1, step numbers are
1-based because a person reads them, and character offsets are half-open ``[start, end)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

TokenIds = tuple[int, ...]
Message = dict[str, str]
"""One chat turn: ``{"role": ..., "content": ...}``."""

Term = Literal["nll", "policy", "distill"]
Divergence = Literal["forward_kl", "reverse_kl", "jsd"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A question with the reference its task needs to verify a response.

    Args:
        id: unique within the task and stable over runs: seeds and the experience store key on it.
        text: the question as a person reads it, without any instruction.
        answer: the reference answer in the task's own format.
        metadata: what else the task's verifier or the tables need; JSON values only.
    """

    id: str
    text: str
    answer: str
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Whether a response is right, and why the verifier says so.

    A failed verification (time-out, crash, no marked answer) is a verdict with ``is_correct=False``
    and its reason, never an exception.

    Args:
        reason: a short word that is counted in the metrics: ``right``, ``wrong``, ``no_final_answer``,
            ``timeout``, ``error``, ...
        detail: free text for a person: what was extracted, what the error said.
        score: share of the whole that was achieved, 0 to 1 (tests passed, say), from a task that is told to reward
            parts; None elsewhere. Right means all, so that a right response has no other score than 1.

    Raises:
        ValueError: a score outside 0 to 1, or another than 1 with a right response.
    """

    is_correct: bool
    reason: str
    detail: str = ""
    score: float | None = None

    def __post_init__(self) -> None:
        if self.score is None:
            return
        if not 0 <= self.score <= 1:
            raise ValueError(f"expected a score from 0 to 1, got {self.score}")
        if self.is_correct and self.score != 1:
            raise ValueError(f"expected score 1 of a right response, got {self.score}: right means all")

    @property
    def reward(self) -> float:
        """The score if the task gives one, else 1 for a right response and 0 for any other."""
        return float(self.is_correct) if self.score is None else self.score


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One numbered step of a solution: ``solution[start:end]``; steps are contiguous and in order.

    Args:
        number: 1-based; the number shown in the construction prompt.
    """

    number: int
    start: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout:
    """One sampled trajectory y_i of a problem with its verdict.

    Args:
        token_ids: the sampled completion without padding, end-of-sequence token included if sampled.
        text: the completion decoded without special tokens.
        reward: what the policy loss uses; ``verdict`` says whether the method counts it as right.
        is_truncated: the token limit ended it, not the model.
        context_ids: what it was sampled from, where that is not the group's prompt (a hinted or refined attempt).
        hint: positions in ``token_ids`` that were given and not sampled; no policy gradient reaches them.
        token_weights: by which its advantage is multiplied, one per token, if an auxiliary put it there; empty: 1 each.
    """

    token_ids: TokenIds
    text: str
    verdict: Verdict
    reward: float
    is_truncated: bool = False
    context_ids: TokenIds | None = None
    hint: range = range(0)
    token_weights: tuple[float, ...] = ()

    @property
    def num_sampled(self) -> int:
        """Tokens that the policy sampled itself."""
        return len(self.token_ids) - len(self.hint)


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The G rollouts of one problem in one step (eq. 1).

    Args:
        prompt_ids: the tokens the rollouts were sampled from, chat template included.
        opening: the turns of that prompt before the one that asks: a system prompt, solved examples, earlier turns.
            Whatever else the policy is asked about this problem begins with them too.
    """

    problem: Problem
    prompt_ids: TokenIds
    rollouts: tuple[Rollout, ...]
    opening: tuple[Message, ...] = ()

    @property
    def rewards(self) -> list[float]:
        """One per rollout."""
        return [rollout.reward for rollout in self.rollouts]

    @property
    def pass_rate(self) -> float:
        """Share of right rollouts, 0 to 1; 0 for an empty group."""
        return sum(r.verdict.is_correct for r in self.rollouts) / len(self.rollouts) if self.rollouts else 0.0

    @property
    def is_mixed(self) -> bool:
        """Holds at least one right and one wrong rollout."""
        return 0.0 < self.pass_rate < 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A right and a wrong rollout of the same problem, both split into numbered steps (section 3.2).

    Args:
        group: where both come from; its pass rate is the baseline that a replay has to beat.
        wrong_index: position of ``wrong`` in ``group.rollouts``; credit rules need it.
    """

    group: Group
    right: Rollout
    wrong: Rollout
    wrong_index: int
    right_steps: tuple[Step, ...]
    wrong_steps: tuple[Step, ...]

    @property
    def problem(self) -> Problem:
        return self.group.problem

    @property
    def whole(self) -> Excerpt:
        """Every step of both solutions."""
        return Excerpt(right=range(1, len(self.right_steps) + 1), wrong=range(1, len(self.wrong_steps) + 1))

    @property
    def shared_steps(self) -> int:
        """Number of leading steps that read the same in both solutions, white space aside."""
        count = 0
        for right, wrong in zip(self.right_steps, self.wrong_steps, strict=False):
            if self.right.text[right.start : right.end].split() != self.wrong.text[wrong.start : wrong.end].split():
                break
            count += 1
        return count


@dataclass(frozen=True, kw_only=True, slots=True)
class Excerpt:
    """Which steps of a pair are shown, as ranges of step numbers: a contiguous part of each solution.

    Args:
        right, wrong: of y+ and of y-; a step keeps the number that it has in the whole solution.
    """

    right: range
    wrong: range


@dataclass(frozen=True, kw_only=True, slots=True)
class MetaExperience:
    """M = (s*, C, H) of eq. 5.

    Args:
        bifurcation: s*, the 1-based number of the step of the wrong solution where it leaves the right path.
        critique: C, why it went wrong and what would have been right.
        heuristic: H, the rule to remember, meant to be free of this problem's values.
        text: M as a replay prompt quotes it: everything from the first recognized section on, without
            the reasoning that came before.
        lesson: C and H in one piece of that text: what follows the statement of s*.
    """

    bifurcation: int
    critique: str
    heuristic: str
    text: str
    lesson: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """What a generator returned for one prompt.

    Args:
        token_ids: without padding; ends with an end-of-sequence token unless ``is_truncated``.
        text: decoded without special tokens.
    """

    token_ids: TokenIds
    text: str
    is_truncated: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One attempt to write a meta-experience for a pair: an element of D_M, or a counted failure.

    Args:
        context_ids: C_retro, the tokens M was sampled from (eq. 7).
        completion: what the policy wrote, unparsed.
        experience: the parsed M; ``None`` iff ``failure`` is given.
        failure: why there is no usable M: ``truncated``, ``no_bifurcation``, ``bifurcation_out_of_range``,
            ``no_heuristic``, ...; empty when there is one.
        states_answer: M contains the problem's final answer (a leak).
    """

    pair: Pair
    context_ids: TokenIds
    completion: Completion
    experience: MetaExperience | None
    failure: str = ""
    states_answer: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One replay of one candidate.

    Args:
        response: the whole response the verifier saw: for a replay from the bifurcation this is the kept
            beginning of the wrong solution followed by the continuation.
    """

    completion: Completion
    response: str
    verdict: Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """What the task knows of a candidate; None where it cannot say.

    Args:
        first_error: 1-based number of the first wrong step of y-.
        is_true_rule: the heuristic states something true.
        concept: what the first wrong step turns on.
    """

    first_error: int | None = None
    is_true_rule: bool | None = None
    concept: str | None = None

    def locates(self, bifurcation: int | None) -> bool | None:
        """Whether that step is the first error; None if either is not known."""
        return None if self.first_error is None or bifurcation is None else bifurcation == self.first_error


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """A candidate with what replaying it showed (eq. 6); ``is_kept`` puts it into D_M*.

    Args:
        prefix_ids: tokens of the wrong rollout that the replay continued, empty for a replay from the start.
        prompt_ids: what the replay was sampled from before that prefix, M included; empty if none was made.
        on: the group whose problem was replayed, where that is not the candidate's own.
        attempts: in sampling order; empty if the candidate was rejected before replay.
        reason: why it was kept or not: ``kept``, ``failed_replay``, ``no_uplift``, ``states_answer`` or the
            candidate's own failure.
        truth: what the task knows of the step and the rule.
    """

    candidate: Candidate
    prefix_ids: TokenIds
    attempts: tuple[Attempt, ...]
    is_kept: bool
    reason: str
    truth: Truth = Truth()
    prompt_ids: TokenIds = ()
    on: Group | None = None

    @property
    def group(self) -> Group:
        """Whose problem was replayed."""
        return self.on or self.candidate.pair.group

    @property
    def success_rate(self) -> float:
        """Share of right attempts, 0 to 1; 0 if none was made."""
        return sum(a.verdict.is_correct for a in self.attempts) / len(self.attempts) if self.attempts else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """The teacher of a ``distill`` row: the policy itself, without gradient, after another context.

    Args:
        context_ids: what the teacher reads before the same targets, for example the prompt with M in it.
        divergence: ``forward_kl`` KL(teacher || student), ``reverse_kl`` KL(student || teacher), or ``jsd``, the
            Jensen-Shannon divergence with equal halves.
        top_k: compare the teacher's k likeliest tokens and all others as one class; None: the whole vocabulary.
    """

    context_ids: TokenIds
    divergence: Divergence = "forward_kl"
    top_k: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One sequence that the host learns from in the same optimizer step as the rollouts.

    ``nll`` adds ``weight * -mean(log p(target | context))``. ``distill`` adds ``weight * mean`` of the divergence
    from its reference at each target. ``policy`` adds the surrogate that the host minimizes for its rollouts: of an
    auxiliary's own samples, such as M; or, of no auxiliary, of a rollout that the host did not sample, which counts in
    the policy loss as every other rollout does. The rows of one auxiliary and term share one denominator over all
    ranks; those of no auxiliary share that of the rollouts.

    Args:
        context_ids: conditioned on, never trained.
        target_ids: trained; a row without targets is an error.
        weight: multiplies this row's mean; 1 unless the method says otherwise.
        auxiliary: whose weight, reduction and backward pass it is learned with; filled in by `mel.step`.
        advantages: one per target token, for ``policy``; 0 where a token was given and not sampled.
        is_sampled: one per target token, for ``policy``; False where it was given (a hint).
        reference: of a ``distill`` row.
    """

    context_ids: TokenIds
    target_ids: TokenIds
    weight: float = 1.0
    term: Term = "nll"
    auxiliary: str = ""
    advantages: tuple[float, ...] = ()
    is_sampled: tuple[bool, ...] = ()
    reference: Reference | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How a generator samples: ``temperature`` 0 means greedy; ``max_tokens`` counts completion tokens.

    Args:
        seed: of this call, which then repeats exactly; None leaves it to the generator.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What an auxiliary hands back for one generation batch.

    Args:
        rows: to be added to the optimizer step.
        replayed: every candidate with its verdict, kept or not: the ledger, in pair order.
        counts: summable over groups and ranks: pairs, failures by reason, kept, ... Metric paths
            are ``<the auxiliary's namespace>/<key>``.
        groups: the groups as they shall be learned from, one for each that came in and in that order: a rollout may
            be replaced in its place and others added behind them. Behind these may stand further groups, whose
            rollouts are compared among themselves. None leaves the groups as they are.
    """

    rows: tuple[Row, ...] = ()
    replayed: tuple[Replayed, ...] = ()
    counts: Mapping[str, float] = field(default_factory=dict)
    groups: tuple[Group, ...] | None = None
