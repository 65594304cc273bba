"""Where the rewards of steps come from and how they join the outcome's; every field is a recipe field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from mel.methods.declaration import CreditSettings, Surroundings
from mel.methods.needs import Assumptions, Expected, Limits, Longest, Needs
from mel.methods.reward_models import LearnedReward, RewardModel
from mel.ports import Credit
from mel.stages.process_reward import Combine

Source = Literal["monte_carlo", "model", "implicit"]
Label = Literal["soft", "hard"]

PHASE = "step_values"
"""In which continuations are generated."""


class ProcessRewardSettings(CreditSettings):
    """Fields and their defaults; PURE is the carrier `rloo` with `source: model`."""

    name: ClassVar[str] = "process_reward"
    belongs_to: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = {
        "temperature": ("combine", ("min",)),
        **dict.fromkeys(("samples", "label"), ("source", ("monte_carlo",))),
        "separator": ("source", ("model",)),
        **dict.fromkeys(("beta", "learning_rate"), ("source", ("implicit",))),
    }

    source: Source = Field(
        default="monte_carlo",
        description="monte_carlo: the policy continues from the end of each step (Math-Shepherd). model: a token "
        "classifier in the format of TRL's PRMTrainer says how likely each step is right. implicit: beta times the "
        "log-ratio of a second set of weights, which learn the outcomes as training goes, to the initial ones (PRIME).",
    )
    combine: Combine = Field(default="min", description="min (PURE), or sum, which a policy games by adding steps.")
    temperature: float = Field(default=0.1, gt=0, description="Of the soft minimum over steps (paper: 0.1).")
    weight: float = Field(default=1.0, ge=0, description="Factor of the process rewards.")
    outcome: float = Field(default=1.0, ge=0, description="Factor of the carrier's advantages; 0: process alone.")
    most_steps: int = Field(default=8, ge=1, description="Steps of a rollout at most; neighbors are joined beyond.")
    groups: Literal["mixed", "all"] = Field(
        default="mixed", description="mixed: steps of uniform groups are not valued. all (paper)."
    )
    samples: int = Field(default=4, ge=1, description="monte_carlo: continuations per step.")
    label: Label = Field(
        default="soft", description="monte_carlo: the share of right continuations, or hard: whether any is right."
    )
    max_tokens: int | None = Field(
        default=None, ge=1, description="monte_carlo: limit of a continuation; None: that of the rollouts."
    )
    model: str | None = Field(default=None, description="model: directory or hub id of the process reward model.")
    separator: str = Field(default="\n", min_length=1, description="model: what its training put behind each step.")

    beta: float = Field(default=0.05, gt=0, description="implicit: factor of the log-ratio (paper: 0.05).")
    learning_rate: float = Field(default=1e-6, gt=0, description="implicit: of the second weights (paper: 1e-6).")

    @model_validator(mode="after")
    def _has_its_source(self) -> ProcessRewardSettings:
        if (self.model is None) == (self.source == "model"):
            raise ValueError(
                f"source 'model' and a model go together: set both, or neither (got source {self.source!r}, "
                f"model {self.model!r})"
            )
        return self

    @property
    def reward_model(self) -> RewardModel | None:
        return None if self.model is None else RewardModel(path=self.model, separator=self.separator)

    @property
    def learned_reward(self) -> LearnedReward | None:
        wanted = self.source == "implicit"
        return LearnedReward(beta=self.beta, learning_rate=self.learning_rate) if wanted else None

    def build(self, at: Surroundings | None) -> Credit:
        from mel.methods.credit.process_reward.rule import ProcessReward

        return ProcessReward(self, self.surroundings(at))

    def needs(self, limits: Limits) -> Needs:
        """A continuation follows a whole rollout at most; the last step's value is the verdict and needs none."""
        if self.source != "monte_carlo" or self.most_steps < 2:
            return Needs()
        continuation = Longest(
            phase=PHASE,
            prompt=limits.prompt + limits.completion,
            completion=self.max_tokens or limits.completion,
            knob="settings.max_tokens",
            per_group=limits.rollouts * (self.most_steps - 1) * self.samples,
        )
        return Needs(phases=(continuation,))

    def expected(self, at: Assumptions) -> Expected:
        """Beginnings that several rollouts share are continued once; that saving is not counted on."""
        if self.source != "monte_carlo":
            return Expected()
        share = 1.0 if self.groups == "all" else at.mixed_share
        ends = max(0.0, min(at.steps, float(self.most_steps)) - 1.0)
        count = share * at.rollouts * ends * self.samples
        # Ends of steps lie evenly in a solution, so half of it is read and half is written on the average.
        half = at.solution_tokens / 2
        return Expected(
            generated={PHASE: count * min(half, self.max_tokens or half)},
            sequences={PHASE: count},
            read=count * (at.prompt_tokens + half),
        )
