"""Blockwise credit: parts of a rollout answer for different rewards (Blockwise Advantage Estimation, 2602.10231)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from mel.methods.declaration import CreditSettings, Surroundings
from mel.ports import Credit, Requests, Tokenizer
from mel.stages.blocks import Reward, block_reward, blocks_of, conditioned_baselines
from mel.stages.spans import covering, step_spans
from mel.types import Group, Outcome, Rollout


class BlockwiseSettings(CreditSettings):
    """Where blocks begin and what each earns; the first is the solution and keeps the carrier's advantage."""

    name: ClassVar[str] = "blockwise"

    marks: list[str] = Field(
        default=["\\boxed{"],
        description="A block begins where each of these texts stands last in the rollout, in this order.",
    )
    rewards: list[Reward] = Field(
        default=["form"],
        description="Per mark. form: 1 if the verifier read an answer. brier: -(q - c)^2 of the stated probability q.",
    )
    kappa: float = Field(
        default=1.0,
        ge=0,
        description="How many rollouts the mean of all counts for in the baseline of an outcome (paper: 0).",
    )
    weigh: Literal["block", "token"] = Field(
        default="block", description="block: each block weighs as a whole rollout (paper). token: by its length."
    )

    @model_validator(mode="after")
    def _one_reward_per_mark(self) -> BlockwiseSettings:
        if not self.marks or len(self.marks) != len(self.rewards) or not all(self.marks):
            raise ValueError(
                f"expected one reward per mark, one mark at least and none empty; got {self.marks} and {self.rewards}"
            )
        return self

    def build(self, at: Surroundings | None) -> Credit:
        return Blockwise(self, self.surroundings(at))


class Blockwise:
    """The carrier's advantage on the first block; on each other its reward less the outcome's baseline."""

    name = BlockwiseSettings.name

    def __init__(self, settings: BlockwiseSettings, at: Surroundings) -> None:
        self.settings = settings
        self._tokenizer: Tokenizer = at.tokenizer

    def assign(
        self, groups: Sequence[Group], advantages: Sequence[Sequence[float]], outcomes: Mapping[str, Outcome]
    ) -> Requests[list[list[list[float]]] | None]:
        yield from ()
        return [self._of_group(group, list(of_group)) for group, of_group in zip(groups, advantages, strict=True)]

    def _of_group(self, group: Group, advantages: list[float]) -> list[list[float]]:
        strata = [rollout.verdict.is_correct for rollout in group.rollouts]
        per_block = [advantages]
        for position, reward in enumerate(self.settings.rewards, 1):
            earned = [self._earned(reward, rollout, position) for rollout in group.rollouts]
            baselines = conditioned_baselines(earned, strata, kappa=self.settings.kappa)
            per_block.append([r - b for r, b in zip(earned, baselines, strict=True)])
        return [
            self._per_token(rollout, values)
            for rollout, values in zip(group.rollouts, zip(*per_block, strict=True), strict=True)
        ]

    def _earned(self, reward: Reward, rollout: Rollout, position: int) -> float:
        block = blocks_of(rollout.text, self.settings.marks)[position]
        return block_reward(reward, rollout, rollout.text[block.start : block.end])

    def _per_token(self, rollout: Rollout, values: Sequence[float]) -> list[float]:
        """The block's value on each token, weighed so that a mean over the rollout is a sum of means over blocks."""
        length = len(rollout.token_ids)
        blocks = blocks_of(rollout.text, self.settings.marks)
        spans = covering(step_spans(rollout.token_ids, blocks, self._tokenizer), length)
        factors = [length / len(span) if self.settings.weigh == "block" and span else 1.0 for span in spans]
        return [value * factor for value, factor, span in zip(values, factors, spans, strict=True) for _ in span]
