"""From a recipe to the configuration that TRL takes."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from mel.config import Recipe
from mel.naming import did_you_mean
from mel.run.wiring import Wiring, num_processes

OURS = ("output_dir", "run_name", "logging_dir")
"""GRPOConfig fields that the run directory settles."""

GUARD = "mel_engine_"
"""Fields of MELConfig that stand in a recipe's trainer section, beside `use_vllm`; the others are sections of it."""

DEFAULTS: dict[str, Any] = {
    "logging_steps": 1,
    "report_to": "none",
    "disable_tqdm": True,
    "remove_unused_columns": False,
    "save_strategy": "steps",
}
"""Where we start from something else than TRL does; a recipe may say otherwise."""

EVALUATION_TIMEOUT_S = 6 * 3600
"""How long ranks wait for the main process to evaluate; torch's own half hour is less than five benchmarks take."""


def training_arguments(wiring: Wiring, path: Path) -> Any:
    """The TRL configuration of a recipe: its `trainer` section, the carrier's fields and the rows' weight.

    Raises:
        ValueError: an unknown field (the nearest valid one is named), one that is set elsewhere, a missing tracker.
    """
    from mel.hosts.trl import MELConfig, surrogate_fields
    from mel.hosts.trl.trackers import check_trackers
    from mel.methods import CARRIERS

    recipe = wiring.recipe
    valid = [f.name for f in fields(MELConfig) if f.init and (f.name[:4] != "mel_" or f.name.startswith(GUARD))]
    for name in recipe.trainer:
        if name in OURS:
            raise ValueError(f"trainer.{name}: the run directory settles it; use output.path or --output")
        if name not in valid:
            hint = did_you_mean(name, valid) or f"; expected a field of TRL's GRPOConfig, or {GUARD}*"
            raise ValueError(f"unknown key 'trainer.{name}'{hint}")
    rows: dict[str, Any] = {"mel_weight": "constant"}
    for auxiliary in recipe.auxiliaries:
        weight = auxiliary.weight
        rows = {
            "mel_weight": weight.kind,
            "mel_lambda": weight.value,
            "mel_share": weight.share,
            "mel_measure_every": weight.every,
            "mel_decay": weight.decay,
            "mel_reduction": auxiliary.reduction,
            "mel_backward": auxiliary.backward,
            "mel_rows_per_backward": auxiliary.rows_per_backward,
        }
    surrogate = surrogate_fields(CARRIERS[recipe.carrier]().surrogate)
    names = {"output_dir": str(path / "checkpoints"), "run_name": path.name}
    tables = {"mel_tracked_experiences": recipe.output.tracked_experiences}
    settings: dict[str, Any] = DEFAULTS | _patience(recipe) | surrogate | recipe.trainer | rows | tables | names
    try:
        arguments: Any = MELConfig(**settings)
    except ValueError as error:
        hint = "; on a CPU: --set trainer.use_cpu=true --set trainer.bf16=false" if "bf16/gpu" in str(error) else ""
        raise ValueError(f"trainer: {str(error).rstrip('.')}{hint}") from error
    check_trackers([*arguments.report_to])
    return arguments


def _patience(recipe: Recipe) -> dict[str, Any]:
    """A longer timeout for the other processes where one of them evaluates within the run."""
    return {"ddp_timeout": EVALUATION_TIMEOUT_S} if recipe.evaluation.is_within_run and num_processes() > 1 else {}
