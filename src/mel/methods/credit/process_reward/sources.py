"""What a step is worth: by continuations of the policy, a process reward model, or one that is learned on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mel.methods.credit.process_reward.settings import PHASE, ProcessRewardSettings
from mel.methods.declaration import Surroundings
from mel.methods.drive import completed, rated, rewarded, verified
from mel.ports import Requests
from mel.requests import Generate, Rate, Reward, Verify
from mel.stages.spans import covering, joined, step_spans
from mel.types import Group, Problem, Rollout, Step, TokenIds

StepRewards = list[list[float]]
"""Per rollout one reward for each of its parts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """A rollout in steps, joined to as many as are valued.

    Args:
        steps: of its text; one over everything where the task sees none.
        spans: their tokens, which cover the rollout.
    """

    problem: Problem
    context_ids: TokenIds
    rollout: Rollout
    steps: tuple[Step, ...]
    spans: tuple[range, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(self.rollout.text[step.start : step.end] for step in self.steps)

    @property
    def beginnings(self) -> list[TokenIds]:
        """The tokens up to the end of each step but the last."""
        return [self.rollout.token_ids[: span.stop] for span in self.spans[:-1]]


def parts_of(group: Group, rollout: Rollout, at: Surroundings, *, most: int) -> Parts:
    """The rollout in at most `most` steps."""
    whole = Step(number=1, start=0, end=len(rollout.text))
    steps = joined(at.steps(rollout.text), most) or (whole,)
    return Parts(
        problem=group.problem,
        context_ids=group.prompt_ids if rollout.context_ids is None else rollout.context_ids,
        rollout=rollout,
        steps=steps,
        spans=covering(step_spans(rollout.token_ids, steps, at.tokenizer), len(rollout.token_ids)),
    )


def by_continuations(
    parts: Sequence[Parts], settings: ProcessRewardSettings, at: Surroundings
) -> Requests[StepRewards]:
    """2 p - 1, p being how often the policy gets it right from the end of the step on; the last step's is the verdict.

    A beginning that several rollouts share is continued once for all of them.
    """
    first: dict[TokenIds, tuple[Parts, TokenIds]] = {}
    for part in parts:
        for begin in part.beginnings:
            first.setdefault(part.context_ids + begin, (part, begin))
    asked = [found for found in first.values() for _ in range(settings.samples)]
    sampling = at.rollout_sampling(settings.max_tokens)
    prompts = tuple(part.context_ids + begin for part, begin in asked)
    completions = yield from completed(Generate(prompts=prompts, sampling=sampling, phase=PHASE))
    responses = tuple(at.tokenizer.decode(b + c.token_ids) for (_, b), c in zip(asked, completions, strict=True))
    verdicts = yield from verified(Verify(problems=tuple(p.problem for p, _ in asked), responses=responses))
    right: dict[TokenIds, list[bool]] = {}
    for prompt, verdict in zip(prompts, verdicts, strict=True):
        right.setdefault(prompt, []).append(verdict.is_correct)
    value = {prompt: float(any(r)) if settings.label == "hard" else sum(r) / len(r) for prompt, r in right.items()}
    return [
        [2 * value[part.context_ids + b] - 1 for b in part.beginnings] + [2.0 * part.rollout.verdict.is_correct - 1]
        for part in parts
    ]


def by_model(parts: Sequence[Parts], settings: ProcessRewardSettings, at: Surroundings) -> Requests[StepRewards]:
    """p(right) - p(wrong) of each step, as a process reward model sees it."""
    del settings, at
    request = Rate(problems=tuple(p.problem for p in parts), solutions=tuple(p.texts for p in parts))
    found = yield from rated(request)
    return [[2 * p - 1 for p in of_rollout] for of_rollout in found]


def by_outcomes(parts: Sequence[Parts], settings: ProcessRewardSettings, at: Surroundings) -> Requests[StepRewards]:
    """The sum over a step's tokens of beta times their log-ratio, by weights that learn the outcomes as they come."""
    del settings, at
    request = Reward(
        contexts=tuple(p.context_ids for p in parts),
        targets=tuple(p.rollout.token_ids for p in parts),
        outcomes=tuple(p.rollout.verdict.is_correct for p in parts),
    )
    found = yield from rewarded(request)
    return [[sum(r[i] for i in span) for span in p.spans] for p, r in zip(parts, found, strict=True)]
