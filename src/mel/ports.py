"""The seams: protocols that stages and methods ask for and that tasks, hosts and tests fill.

A method never calls an engine. It is a generator function that yields requests (`Generate`, `Verify`,
`Score`, ...) and is sent their answers, so that one body of code serves a batch (TRL), a single group inside an
async worker (verl) and a test with canned completions. `mel.methods.drive` runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Generator as PyGenerator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from mel.requests import Rate, Request, Reward, Score
from mel.types import (
    Completion,
    Group,
    Message,
    MetaExperience,
    Outcome,
    Problem,
    Sampling,
    Step,
    TokenIds,
    Verdict,
)

T = TypeVar("T")

Logprobs = tuple[float, ...]
"""One log-probability (nats) per target token."""

Ratings = tuple[float, ...]
"""One probability of being right, 0 to 1, per step."""

TokenRewards = tuple[float, ...]
"""What each token of a target is worth."""

Answer = Sequence[Completion] | Sequence[Verdict] | Sequence[Logprobs] | Sequence[Ratings]

Requests = PyGenerator[Request, Answer, T]
"""A computation that yields requests, is sent the answers, and returns ``T``."""

Steps = Callable[[str], tuple[Step, ...]]
"""A task's segmentation of a solution into numbered steps."""


class Generator(Protocol):
    """Samples from the policy being trained (or evaluated), with its current weights."""

    def generate(self, prompts: Sequence[TokenIds], sampling: Sampling) -> list[Completion]:
        """One completion per prompt, in order; an empty list for no prompts."""
        ...


class Verifier(Protocol):
    """Says which responses are right. Never raises for a bad response: that is a `Verdict`."""

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        """One verdict per response, in order."""
        ...


class Scorer(Protocol):
    """Log-probabilities under the policy being trained, by a forward pass of its own."""

    def score(self, request: Score) -> list[Logprobs]:
        """One tuple per target of the request, in order, with one value per token."""
        ...


class Rater(Protocol):
    """Says how likely steps are right: a process reward model beside the policy."""

    def rate(self, request: Rate) -> list[Ratings]:
        """One tuple per solution of the request, in order, with one value per step."""
        ...


class Rewarder(Protocol):
    """Says what tokens are worth, and learns it from outcomes: a second set of weights beside the policy."""

    def reward(self, request: Reward) -> list[TokenRewards]:
        """One tuple per target of the request, in order, with one value per token; then one step of learning."""
        ...


class Tokenizer(Protocol):
    """Text to tokens and back, for the model being trained. `mel.prompts.chat.ChatTokenizer` is the real one."""

    def chat(self, messages: Sequence[Message]) -> TokenIds:
        """Tokens of a conversation, up to and including the start of the assistant's turn.

        Special tokens in the last turn are plain text; the turns before it are rendered as they are.
        """
        ...

    def encode(self, text: str) -> TokenIds:
        """Tokens of plain text, no special token added."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text without special tokens."""
        ...

    def token_index(self, token_ids: Sequence[int], char: int) -> int:
        """Number of leading tokens whose text ends at or before character ``char`` of ``decode(token_ids)``."""
        ...


class Ask(Protocol):
    """How a problem is put to the model; data sets, evaluations and length checks all ask by the same one.

    `mel.prompts.ask.PlainAsk` is the usual filling; one that looks up experiences which fit the problem is another.
    What a chat template takes besides messages (`enable_thinking`) belongs to the tokenizer, since every prompt
    needs it and not only those that ask: `ChatTokenizer(template_options=...)`.
    """

    @property
    def name(self) -> str:
        """What results call it: evaluations that were asked in different ways are not mixed."""
        ...

    def __call__(self, problem: Problem) -> list[Message]:
        """The conversation that asks for a solution; its last turn is the user's."""
        ...


class Recall(Protocol):
    """What runs before this one learned: the heuristics of their kept experiences."""

    def __call__(self, run: str, problem: str, k: int) -> Sequence[str]:
        """At most k heuristics of that run, all different, about the problems most like this one first."""
        ...


class Task(Verifier, Protocol):
    """What is asked: where problems come from, who says a response is right, where its steps are."""

    name: str
    prompt_set: str
    """Name of the directory under `mel.prompts` with this task's instructions."""

    def problems(self, split: str, count: int | None = None) -> Sequence[Problem]:
        """The first ``count`` problems of a split (all if None); item i depends on nothing but the task and i."""
        ...

    def steps(self, solution: str) -> tuple[Step, ...]:
        """The numbered steps of a solution; empty if it has none."""
        ...


@runtime_checkable
class Inspectable(Protocol):
    """A task that knows the truth about steps and rules, so that localization can be measured."""

    def first_error(self, problem: Problem, response: str) -> int | None:
        """1-based number of the first wrong step; None if there is none or it cannot be said."""
        ...

    def is_true_rule(self, problem: Problem, heuristic: str) -> bool | None:
        """Whether the heuristic states something true; None if it states nothing that can be checked."""
        ...


@runtime_checkable
class Conceptual(Protocol):
    """A task that knows what each step turns on, so that a page can show which misconception was unlearned when."""

    def first_error(self, problem: Problem, response: str) -> int | None:
        """1-based number of the first wrong step, as an `Inspectable` says it."""
        ...

    def concept(self, problem: Problem, step: int) -> str | None:
        """What step number ``step`` (1-based) of a right solution turns on; None if there is no such step."""
        ...


@runtime_checkable
class Noting(Protocol):
    """A task that can write a note about a wrong solution itself, so that what notes cause can be measured."""

    def note(self, problem: Problem, response: str, *, is_true: bool = True) -> MetaExperience | None:
        """The meta-experience about the first wrong step, or the same with a false rule; None if it cannot be said."""
        ...


@runtime_checkable
class Counting(Protocol):
    """A task that counts what became of its verifications."""

    def metrics(self) -> Mapping[str, float]:
        """Metric path (`verifier/<reason>`) -> count since the last call."""
        ...


class Observer(Protocol):
    """What listens to a run: called on the main process only, with what all ranks did."""

    def on_outcome(self, step: int, outcome: Outcome, groups: Sequence[Group]) -> None:
        """After the auxiliaries of one generation batch: once for every batch, also for one that gave nothing.

        The recorder counts batches by these calls, since a line of metrics holds means over some number of them.

        Args:
            step: 1-based number of the optimizer step that this batch is first used in.
            outcome: of all ranks: rows and replayed in rank order, counts summed.
            groups: of all ranks, in rank order.
        """
        ...

    def on_metrics(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Whenever the trainer logs.

        Args:
            step: number of optimizer steps done.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class StepProgress:
    """How far a host is within an optimizer step.

    Args:
        step: 1-based number of the optimizer step.
        phase: the word under which its seconds are counted: `rollout`, `construct`, ..., `update`.
        unit: what `done` and `total` count; empty where nothing is counted.
        done, total: 0 where it is not known.
        sequences: of this process that are worked on side by side; 0 where it is not known.
    """

    step: int
    phase: str
    unit: Literal["", "token", "pass", "micro-batch"] = ""
    done: int = 0
    total: int = 0
    sequences: int = 0


@runtime_checkable
class Following(Protocol):
    """An observer that also hears how far a step is while it lasts."""

    def on_progress(self, progress: StepProgress) -> None:
        """When a phase begins, and within it as often as once for every generated token: it must return at once.

        Called on the main process only, and about what that process does.
        """
        ...


class Auxiliary(Protocol):
    """What else is learned beside the policy loss: yields rows, changes groups. `meta_experience` is MEL."""

    name: str

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        """Turn this step's groups into rows, or into other groups, through requests.

        Must yield the same requests in the same order whatever the groups hold (with nothing in them if need be):
        hosts rely on it to keep ranks in step.

        Args:
            groups: of this rank, as the auxiliaries before this one left them.
            step: 1-based number of the optimizer step.
        """
        ...


@runtime_checkable
class Remembering(Protocol):
    """An auxiliary that carries something over from batch to batch, the same on all ranks and kept in checkpoints."""

    name: str

    def hear(self, counts: Mapping[str, float]) -> None:
        """After each batch: its own counts, summed over all ranks."""
        ...

    def state(self) -> dict[str, float]:
        """What a checkpoint must hold of it."""
        ...

    def restore(self, state: Mapping[str, float]) -> None:
        """Goes on from the state that a checkpoint held."""
        ...


class Carrier(Protocol):
    """How a group's rewards become advantages, and which surrogate the host minimizes."""

    name: str
    surrogate: str
    """Name the hosts know: ``grpo``, ``dr_grpo``, ``dapo``, ``gspo``, ``maspo``."""
    needs_whole_batch: bool
    """Whether an advantage depends on other groups: then it is shown the groups of all ranks at once."""

    def advantages(self, groups: Sequence[Group]) -> list[list[float]]:
        """One advantage per rollout of each group.

        Args:
            groups: of this rank, or of the whole batch if it needs that; a rollout that no reward function scored
                has reward 0 here, and its advantage is set to 0 afterwards.
        """
        ...


@runtime_checkable
class Shaped(Protocol):
    """A carrier whose surrogate takes numbers of its own, beside the trust region."""

    surrogate_settings: Mapping[str, float]


class Credit(Protocol):
    """At which tokens of a rollout its advantage counts."""

    name: str

    def assign(
        self, groups: Sequence[Group], advantages: Sequence[Sequence[float]], outcomes: Mapping[str, Outcome]
    ) -> Requests[list[list[list[float]]] | None]:
        """Per group, rollout and token its advantage; None: every token has its rollout's.

        Must yield the same requests in the same order whatever the groups hold, as an auxiliary does.

        Args:
            groups: of this rank, as the auxiliaries left them.
            advantages: the carrier's, one per rollout of each group.
            outcomes: what each auxiliary handed back, by its name.
        """
        ...
