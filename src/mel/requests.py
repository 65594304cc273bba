"""Everything that a method can ask for while it runs: `Request`, of which the commonest kinds stand in `mel.types`."""

from __future__ import annotations

from dataclasses import dataclass

from mel.types import Generate, Problem, Score, TokenIds, Verify


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
