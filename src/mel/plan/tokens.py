"""Tokens of one optimizer step by phase, under stated assumptions, and what auxiliaries and credit add."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mel.config import Recipe
from mel.methods import Assumptions
from mel.plan.batch import Batch
from mel.plan.context import completion_limit, group_size


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """Tokens of one optimizer step over all processes.

    Args:
        generated: sampled, by phase: `rollout` and whatever auxiliaries and credit generate.
        sequences: how many of them are sampled, by phase.
        read: prompts that the other phases add for the engine to read.
        policy: rollout tokens that carry an advantage.
        policy_context: their prompts, through which the pass goes too.
        rows: target tokens of the rows.
        row_context: their contexts.
        row_count: rows that are learned.
    """

    generated: Mapping[str, float]
    sequences: Mapping[str, float]
    read: float
    policy: float
    policy_context: float
    rows: float
    row_context: float
    row_count: float

    @property
    def generated_ratio(self) -> float:
        """Sampled tokens with the auxiliaries over those without."""
        return sum(self.generated.values()) / self.generated["rollout"]

    @property
    def trained_ratio(self) -> float:
        """Tokens through the backward pass, contexts included, with the auxiliaries over without."""
        policy = self.policy + self.policy_context
        return (policy + self.rows + self.row_context) / policy


def tokens_per_step(recipe: Recipe, batch: Batch, at: Assumptions) -> Tokens:
    """Expected tokens of one optimizer step.

    A batch that is learned from in several passes is generated once, so each step pays its share of the sampling;
    rows are learned in every pass.
    """
    solution = min(at.solution_tokens, float(completion_limit(recipe)))
    groups, generating = batch.step_problems, batch.step_problems / batch.iterations
    rollouts = batch.step_rollouts / batch.iterations
    bounded = replace(at, solution_tokens=solution, rollouts=group_size(recipe))
    parts = (*(auxiliary.settings for auxiliary in recipe.auxiliaries), recipe.credit.settings)
    expected = [settings.expected(bounded) for settings in parts]
    return Tokens(
        generated={"rollout": rollouts * solution} | _summed([x.generated for x in expected], generating),
        sequences={"rollout": rollouts} | _summed([x.sequences for x in expected], generating),
        read=generating * sum(x.read for x in expected),
        policy=batch.step_rollouts * solution,
        policy_context=batch.step_rollouts * at.prompt_tokens,
        rows=groups * sum(x.row_tokens for x in expected),
        row_context=groups * sum(x.row_context for x in expected),
        row_count=groups * sum(x.rows for x in expected),
    )


def _summed(by_phase: list[Mapping[str, float]], groups: float) -> dict[str, float]:
    """Per phase the sum over all parts, for so many groups."""
    phases = dict.fromkeys(phase for of_one in by_phase for phase in of_one)
    return {phase: groups * sum(of_one.get(phase, 0.0) for of_one in by_phase) for phase in phases}
