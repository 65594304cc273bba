"""Critique and refinement (Critique-GRPO, arXiv 2506.03106): the refinement of a failure joins its group.

The critique is the policy's own. The refinement was sampled with it in the prompt and is learned without it, with a
weight per token that favors what the policy finds unlikely so far.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from mel.methods.attempts import Start, added, attempts
from mel.methods.declaration import AuxiliarySettings, Surroundings
from mel.methods.drive import completed, scored
from mel.methods.needs import Assumptions, Expected, Limits, Longest, Needs
from mel.ports import Auxiliary, Logprobs, Requests
from mel.prompts.ask import ask_about
from mel.requests import Generate, Score
from mel.stages.experience import without_thinking
from mel.stages.join import is_unaided
from mel.types import Group, Outcome, Rollout, Sampling, TokenIds


class CritiqueRefineSettings(AuxiliarySettings):
    """What is kept of the refinements, and how it is learned."""

    name: ClassVar[str] = "critique_refine"
    label: ClassVar[str] = "Critique-GRPO"
    prompts: ClassVar[tuple[str, ...]] = ("critique", "refine")
    changes_groups: ClassVar[bool] = True
    rates: ClassVar[Mapping[str, tuple[str, str]]] = {"success": ("refined_right", "refined")}
    belongs_to: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = {"gamma": ("context", ("question",))}

    keep: Literal["right", "all"] = Field(
        default="right", description="Refinements that join their group: right ones, or all (paper)."
    )
    context: Literal["question", "refinement"] = Field(
        default="question",
        description="Learned behind the question alone (paper), shaped; or behind the prompt that it was sampled from.",
    )
    gamma: float = Field(
        default=0.1, gt=0, description="Shaping p / (p + gamma) of the refinement's probability (paper: 0.1)."
    )
    critique_max_tokens: int = Field(default=512, ge=1, description="Limit of a critique.")

    def build(self, at: Surroundings) -> Auxiliary:
        return CritiqueRefine(self, at)

    def needs(self, limits: Limits) -> Needs:
        asked, knob = limits.prompt + limits.instruction + limits.completion, "settings.critique_max_tokens"
        longest = asked + self.critique_max_tokens
        behind = longest if self.context == "refinement" else limits.prompt
        shaped = Longest(phase="shape", prompt=limits.prompt, completion=limits.completion, knob="settings.context")
        return Needs(
            phases=(
                Longest(phase="critique", prompt=asked, completion=self.critique_max_tokens, knob=knob),
                Longest(phase="refine", prompt=longest, completion=limits.completion, knob=knob),
            ),
            row=Longest(phase="row", prompt=behind, completion=limits.completion, knob=knob),
            scored=(shaped,) if self.context == "question" else (),
        )

    def expected(self, at: Assumptions) -> Expected:
        asked = at.mixed_share + (1 - at.mixed_share) / 2
        critique = float(min(at.experience_tokens, self.critique_max_tokens))
        kept = asked * (at.kept_share if self.keep == "right" else 1.0)
        prompt = at.prompt_tokens + at.solution_tokens
        behind = prompt + critique if self.context == "refinement" else at.prompt_tokens
        return Expected(
            generated={"critique": asked * critique, "refine": asked * at.solution_tokens},
            sequences={"critique": asked, "refine": asked},
            read=asked * (2 * prompt + critique),
            rows=kept,
            row_tokens=kept * at.solution_tokens,
            row_context=kept * behind,
        )


class CritiqueRefine:
    """Adds one refinement of a wrong rollout to every group that has one."""

    name = CritiqueRefineSettings.name

    def __init__(self, settings: CritiqueRefineSettings, surroundings: Surroundings) -> None:
        self.settings = settings
        self._at = surroundings

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        """The groups with what became of a failure behind their rollouts."""
        at, counts = self._at, Counter[str](groups=len(groups))
        failures = {place: wrong for place, group in enumerate(groups) if (wrong := self._failure(group, step))}
        counts["skipped/no_failure"] += len(groups) - len(failures)
        critiques = yield from completed(
            Generate(
                prompts=tuple(self._asked("critique", groups[place], wrong) for place, wrong in failures.items()),
                sampling=Sampling(max_tokens=self.settings.critique_max_tokens),
                phase="critique",
            )
        )
        texts = [without_thinking(critique.text).strip() for critique in critiques]
        starts = [
            Start(place=p, group=groups[p], context_ids=self._asked("refine", groups[p], wrong, critique=text))
            for (p, wrong), text in zip(failures.items(), texts, strict=True)
        ]
        refined = yield from attempts(starts, at.rollout_sampling(), "refine", at)
        counts.update(refined=len(refined), refined_right=sum(r.verdict.is_correct for r in refined))
        is_kept = [rollout.verdict.is_correct or self.settings.keep == "all" for rollout in refined]
        kept = [pair for pair, keeps in zip(zip(starts, refined, strict=True), is_kept, strict=True) if keeps]
        starts = [start for start, _ in kept]
        learned = [rollout for _, rollout in kept]
        if self.settings.context == "question":
            learned = yield from self._shaped(starts, learned)
        return Outcome(groups=added(groups, starts, learned, counts), counts=dict(counts))

    def _failure(self, group: Group, step: int) -> Rollout | None:
        """A wrong rollout of the group, drawn at random; None if it has none that ended by itself."""
        wrong = [r for r in group.rollouts if not r.verdict.is_correct and is_unaided(r) and not r.is_truncated]
        return random.Random(f"{self._at.seed}:{step}:{group.problem.id}").choice(wrong) if wrong else None

    def _asked(self, name: str, group: Group, wrong: Rollout, **values: str) -> TokenIds:
        turn = self._at.prompts.turn(name, problem=group.problem.text, solution=wrong.text, **values)
        return ask_about(group, turn, self._at.tokenizer)

    def _shaped(self, starts: Sequence[Start], refined: Sequence[Rollout]) -> Requests[list[Rollout]]:
        """The refinements as rollouts of the question alone, each token weighted by its shaping there."""
        contexts = tuple(start.group.prompt_ids for start in starts)
        request = Score(contexts=contexts, targets=tuple(r.token_ids for r in refined), phase="shape")
        logps = yield from scored(request)
        return [
            replace(rollout, context_ids=None, token_weights=shaping(of_one, self.settings.gamma))
            for rollout, of_one in zip(refined, logps, strict=True)
        ]


def shaping(logps: Logprobs, gamma: float) -> tuple[float, ...]:
    """gamma p / (p + gamma)^2 per token: what the gradient of p / (p + gamma) is to that of log p.

    Largest, 1/4, where p = gamma; 0 where the policy is sure already or cannot say it at all.
    """
    # Paper: p is that of the policy as it changes; here of the policy as it was before this batch.
    return tuple(gamma * p / (p + gamma) ** 2 for p in map(math.exp, logps))
