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

Term = Literal["nll", "policy"]


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
    """

    is_correct: bool
    reason: str
    detail: str = ""


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
    """

    token_ids: TokenIds
    text: str
    verdict: Verdict
    reward: float
    is_truncated: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The G rollouts of one problem in one step (eq. 1).

    Args:
        prompt_ids: the tokens the rollouts were sampled from, chat template included.
    """

    problem: Problem
    prompt_ids: TokenIds
    rollouts: tuple[Rollout, ...]

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


@dataclass(frozen=True, kw_only=True, slots=True)
class MetaExperience:
    """M = (s*, C, H) of eq. 5.

    Args:
        bifurcation: s*, the 1-based number of the step of the wrong solution where it leaves the right path.
        critique: C, why it went wrong and what would have been right.
        heuristic: H, the rule to remember, meant to be free of this problem's values.
        text: M as a replay prompt quotes it: everything from the first recognized section on, without
            the reasoning that came before.
    """

    bifurcation: int
    critique: str
    heuristic: str
    text: str


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
class Replayed:
    """A candidate with what replaying it showed (eq. 6); ``is_kept`` puts it into D_M*.

    Args:
        prefix_ids: tokens of the wrong rollout that the replay continued, empty for a replay from the start.
        attempts: in sampling order; empty if the candidate was rejected before replay.
        reason: why it was kept or not: ``kept``, ``failed_replay``, ``no_uplift``, ``states_answer`` or the
            candidate's own failure.
    """

    candidate: Candidate
    prefix_ids: TokenIds
    attempts: tuple[Attempt, ...]
    is_kept: bool
    reason: str

    @property
    def success_rate(self) -> float:
        """Share of right attempts, 0 to 1; 0 if none was made."""
        return sum(a.verdict.is_correct for a in self.attempts) / len(self.attempts) if self.attempts else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One sequence that an auxiliary asks the host to learn from, in the same optimizer step.

    The host adds ``weight * -mean(log p(target | context))`` for ``nll``; a ``policy`` row with constant
    advantage ``weight`` has exactly that gradient on freshly sampled tokens. Rows of one term share
    one denominator: the number of rows over all ranks.

    Args:
        context_ids: conditioned on, never trained.
        target_ids: trained; a row without targets is an error.
        weight: multiplies this row's mean; 1 unless the method says otherwise.
    """

    context_ids: TokenIds
    target_ids: TokenIds
    weight: float = 1.0
    term: Term = "nll"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How a generator samples: ``temperature`` 0 means greedy; ``max_tokens`` counts completion tokens.

    Args:
        seed: of this call; None leaves it to the generator.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Generate:
    """A method's request: one completion per prompt, in order, in exactly one engine call.

    Args:
        phase: ``construct``, ``replay``, ...; tokens and seconds are accounted under this word.
    """

    prompts: tuple[TokenIds, ...]
    sampling: Sampling
    phase: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Verify:
    """A method's request: one verdict per response, in order, by the verifier that scored the rollouts."""

    problems: tuple[Problem, ...]
    responses: tuple[str, ...]


Request = Generate | Verify


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What an auxiliary hands back to the host for one generation batch.

    Args:
        rows: to be added to the optimizer step.
        replayed: every candidate with its verdict, kept or not: the ledger, in pair order.
        counts: summable over groups and ranks: pairs, failures by reason, kept, ... Metric paths
            are ``experience/<key>``.
    """

    rows: tuple[Row, ...] = ()
    replayed: tuple[Replayed, ...] = ()
    counts: Mapping[str, float] = field(default_factory=dict)
