"""The TRL host: `MELTrainer` in the place of `GRPOTrainer`, `MELConfig` in that of `GRPOConfig`."""

from __future__ import annotations

from mel.hosts.trl.config import MELConfig
from mel.hosts.trl.contract import ContractError
from mel.hosts.trl.defaults import plain_method
from mel.hosts.trl.engine_guard import StaleEngineError
from mel.hosts.trl.problems import example_of, problem_of
from mel.hosts.trl.surrogates import surrogate_fields
from mel.hosts.trl.trainer import MELTrainer
from mel.hosts.trl.verdicts import VerifierReward
from mel.ports import Observer

__all__ = [
    "ContractError",
    "MELConfig",
    "MELTrainer",
    "Observer",
    "StaleEngineError",
    "VerifierReward",
    "example_of",
    "plain_method",
    "problem_of",
    "surrogate_fields",
]
