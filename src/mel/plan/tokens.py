"""Tokens of one optimizer step by phase, under stated assumptions, and what MEL costs relative to GRPO."""

from __future__ import annotations

from dataclasses import dataclass

from mel.config import Recipe
from mel.methods import MetaExperienceSettings
from mel.plan.batch import Batch


@dataclass(frozen=True, kw_only=True, slots=True)
class Assumptions:
    """What a plan cannot know before a run; every one is an option of `mel plan` and a metric of a run.

    Args:
        prompt_tokens: mean length of a problem in its solve prompt.
        solution_tokens: mean length of a rollout.
        experience_tokens: mean length of the text that holds M.
        mixed_share: groups with right and wrong rollouts, 0 to 1 (`reward/groups_mixed`).
        parsed_share: written texts that hold a usable M, 0 to 1 (`experience/parse_rate`).
        kept_share: replayed candidates that are kept, 0 to 1 (`experience/retention`).
        prefix_share: how far into the wrong solution s* lies, 0 to 1.
        steps: numbered steps of a solution.
    """

    prompt_tokens: float = 160.0
    solution_tokens: float = 1000.0
    experience_tokens: float = 500.0
    mixed_share: float = 0.5
    parsed_share: float = 0.8
    kept_share: float = 0.5
    prefix_share: float = 0.5
    steps: float = 12.0

    def __post_init__(self) -> None:
        for name in ("mixed_share", "parsed_share", "kept_share", "prefix_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name}: expected a share from 0 to 1, got {getattr(self, name)}")
        for name in ("prompt_tokens", "solution_tokens", "experience_tokens", "steps"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: expected a positive number, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """Tokens of one optimizer step over all processes.

    Args:
        rollout, construct, replay: sampled.
        read: prompts that construct and replay add for the engine to read.
        policy: rollout tokens that carry an advantage.
        policy_context: their prompts, through which the pass goes too.
        rows: target tokens of the rows.
        row_context: their contexts.
        pairs: pairs that are contrasted.
        row_count: rows that are learned.
    """

    rollout: float
    construct: float
    replay: float
    read: float
    policy: float
    policy_context: float
    rows: float
    row_context: float
    pairs: float
    row_count: float

    @property
    def generated_ratio(self) -> float:
        """Sampled tokens with the auxiliaries over those without."""
        return (self.rollout + self.construct + self.replay) / self.rollout

    @property
    def trained_ratio(self) -> float:
        """Tokens through the backward pass, contexts included, with the auxiliaries over without."""
        policy = self.policy + self.policy_context
        return (policy + self.rows + self.row_context) / policy


def tokens_per_step(recipe: Recipe, batch: Batch, at: Assumptions) -> Tokens:
    """Expected tokens of one optimizer step.

    Raises:
        ValueError: a mean solution longer than the recipe allows.
    """
    limit = float(recipe.trainer.get("max_completion_length", 512))
    solution = min(at.solution_tokens, limit)
    rollouts, passes = batch.step_rollouts, batch.iterations
    base = Tokens(
        rollout=rollouts * solution / passes,
        construct=0.0,
        replay=0.0,
        read=0.0,
        policy=rollouts * solution,
        policy_context=rollouts * at.prompt_tokens,
        rows=0.0,
        row_context=0.0,
        pairs=0.0,
        row_count=0.0,
    )
    for auxiliary in recipe.auxiliaries:
        base = _with_experience(base, auxiliary.settings, batch, at, solution)
    return base


def _with_experience(t: Tokens, s: MetaExperienceSettings, batch: Batch, at: Assumptions, solution: float) -> Tokens:
    experience = min(at.experience_tokens, s.construct_max_tokens)
    pairs = batch.step_problems * at.mixed_share * s.pairs_per_group / batch.iterations
    candidates = pairs * at.parsed_share
    replays = 0.0 if s.filter == "none" else candidates * s.replay_samples
    kept = candidates * (1.0 if s.filter == "none" else at.kept_share)
    prefix = at.prefix_share * solution if s.replay_from == "bifurcation" else 0.0
    attempt = min(solution - prefix, s.replay_max_tokens or solution)
    pair_prompt = at.prompt_tokens + 2 * solution
    target = {
        "experience": experience,
        "heuristic": experience / 3,
        "step": solution / at.steps,
        "solution": attempt if s.context == "prefix" else solution,
    }[s.target]
    context = {
        "retrospective": pair_prompt,
        "question": at.prompt_tokens,
        "prefix": at.prompt_tokens + prefix,
    }[s.context]
    rows = kept * batch.iterations
    return Tokens(
        rollout=t.rollout,
        construct=t.construct + pairs * experience,
        replay=t.replay + replays * attempt,
        read=t.read + pairs * pair_prompt + replays * (at.prompt_tokens + experience + prefix),
        policy=t.policy,
        policy_context=t.policy_context,
        rows=t.rows + rows * target,
        row_context=t.row_context + rows * context,
        pairs=t.pairs + pairs,
        row_count=t.row_count + rows,
    )
