"""The models that a credit rule asks a host to keep beside the policy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class RewardModel:
    """A process reward model that a host loads beside the policy and answers `Rate` by.

    Args:
        path: directory or hub id of a model for token classification with two classes, the second being "right", as
            TRL's PRMTrainer leaves it.
        separator: text that its training put behind each step.
    """

    path: str
    separator: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LearnedReward:
    """An implicit process reward model (PRIME, 2502.01456) that a host keeps beside the policy to answer `Reward`.

    Args:
        beta: factor of the log-ratio between its weights and those before training.
        learning_rate: of its AdamW.
    """

    beta: float
    learning_rate: float
