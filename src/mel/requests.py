"""Everything that a method can ask for while it runs; one body of code is answered in batches, async or by a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mel.types import Problem, Sampling, TokenIds


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A method's request: the log-probability (nats) of every target token after its context, at temperature 1.

    Answered by one forward pass of the trained model in batches, without any generation engine: one tuple of floats
    per target, in order.

    Args:
        policy: ``current``, or ``initial``: the policy as it was before training, where the host keeps it.
        phase: seconds are accounted under this word.
    """

    contexts: tuple[TokenIds, ...]
    targets: tuple[TokenIds, ...]
    policy: Literal["current", "initial"] = "current"
    phase: str = "score"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """A method's request: how likely each step of a solution is right, 0 to 1, as a process reward model sees it.

    Answered by the model that the method declares, a frozen one beside the policy: one tuple per solution, in order,
    with a number per step. No generation engine and no other rank takes part.

    Args:
        problems: one per solution.
        solutions: the text of each step.
        phase: seconds are accounted under this word.
    """

    problems: tuple[Problem, ...]
    solutions: tuple[tuple[str, ...], ...]
    phase: str = "rate"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reward:
    """A method's request: what each token of a rollout is worth to a model that learns it from the outcomes.

    Answered with one float per target token, by the weights as they are before this request; then these take one
    optimizer step on its outcomes. Every rank makes this request as often as the others.

    Args:
        outcomes: whether each target is right.
        phase: seconds are accounted under this word.
    """

    contexts: tuple[TokenIds, ...]
    targets: tuple[TokenIds, ...]
    outcomes: tuple[bool, ...]
    phase: str = "reward"


Request = Generate | Verify | Score | Rate | Reward


def phase_of(request: Request) -> str:
    """The word under which a request's tokens and seconds are counted; verification has one for all."""
    return "verify" if isinstance(request, Verify) else request.phase
