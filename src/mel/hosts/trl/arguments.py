"""From a recipe to the configuration that TRL takes."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mel.config import AuxiliarySection, Recipe
from mel.hosts.load import lora_config
from mel.hosts.reward_model import check_reward_model
from mel.hosts.trl.config import MELConfig
from mel.hosts.trl.defaults import check_method
from mel.hosts.trl.implicit_reward import check_copies
from mel.hosts.trl.surrogates import surrogate_fields
from mel.hosts.trl.trackers import check_trackers
from mel.launch import num_processes, shards_states
from mel.methods import WHOLE_COPY, WHOLE_SAMPLER
from mel.objective.weight import Constant, GradNorm
from mel.step import RowLearning

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


@dataclass(frozen=True, kw_only=True, slots=True)
class TRLArguments:
    """All that this host takes from a recipe.

    Args:
        lora: the `peft.LoraConfig`; None if every weight is trained.
        dtype, attention: how the weights are loaded.
        learning: how the rows of each auxiliary are learned, by its name.
    """

    config: MELConfig
    lora: Any
    dtype: str
    attention: str | None
    learning: dict[str, RowLearning] = field(default_factory=dict)


def arguments_of(recipe: Recipe, path: Path) -> TRLArguments:
    """The TRL configuration of a recipe: its `trainer` section, the carrier's fields, and how rows are learned.

    Args:
        path: of the run directory.

    Raises:
        ValueError: values that do not go together, or not with the method; a tracker that is missing; settings under
            which an auxiliary's rollouts would not be learned as TRL learns its own.
    """
    _check_names(recipe)
    surrogate = surrogate_fields(recipe.carrier.settings.surrogate)
    names = {"output_dir": str(path / "checkpoints"), "run_name": path.name}
    tables = {"mel_tracked_experiences": recipe.output.tracked_experiences}
    rows = _row_fields(recipe)
    settings: dict[str, Any] = DEFAULTS | _patience(recipe) | surrogate | recipe.trainer | rows | tables | names
    try:
        config: Any = MELConfig(**settings)
    except ValueError as error:
        hint = "; on a CPU: --set trainer.use_cpu=true --set trainer.bf16=false" if "bf16/gpu" in str(error) else ""
        raise ValueError(f"trainer: {str(error).rstrip('.')}{hint}") from error
    check_trackers([*config.report_to])
    check_method(
        config,
        carrier=recipe.carrier.name,
        surrogate=recipe.carrier.settings.surrogate,
        credit=recipe.credit.name,
        samples_initial=recipe.carrier.settings.samples_initial,
        settings=[auxiliary.settings for auxiliary in recipe.auxiliaries],
        has_auxiliaries=bool(recipe.auxiliaries) or bool(recipe.diagnostics.measures),
    )
    _check_models(recipe)
    return TRLArguments(
        config=config,
        lora=None if recipe.model.lora is None else lora_config(recipe.model.lora),
        dtype=recipe.model.dtype,
        attention=recipe.model.attention,
        learning={auxiliary.name: _learning(auxiliary) for auxiliary in recipe.auxiliaries},
    )


def _check_names(recipe: Recipe) -> None:
    """Refuses a field that the recipe's own check knows, which is that of another TRL than the one installed."""
    valid = [f.name for f in fields(MELConfig) if f.init]
    for name in recipe.trainer:
        if name not in valid:
            raise ValueError(
                f"unknown key 'trainer.{name}': TRL {version('trl')}, which is installed, has no such field"
            )


def _check_models(recipe: Recipe) -> None:
    """Refuses a model beside the policy, which the credit rule declares, before any weight is read."""
    credit = recipe.credit.settings
    if credit.reward_model is not None:
        check_reward_model(credit.reward_model)
    if credit.learned_reward is not None:
        check_copies(is_whole=recipe.model.lora is None and not shards_states())
    is_kept = recipe.model.lora is not None or float(recipe.trainer.get("beta", 0.0)) > 0
    if recipe.diagnostics.needs_initial_policy and shards_states() and not is_kept:
        raise ValueError(WHOLE_COPY)
    if recipe.carrier.settings.samples_initial and shards_states():
        raise ValueError(WHOLE_SAMPLER)


def _learning(auxiliary: AuxiliarySection) -> RowLearning:
    rule = auxiliary.weight
    is_constant = rule.kind == "constant"
    return RowLearning(
        weight=Constant(rule.value, every=rule.measured_every)
        if is_constant
        else GradNorm(rule.share, every=rule.measured_every, decay=rule.decay),
        schedule=rule.schedule,
        final=rule.final,
        conflict=rule.conflict,
        reduction=auxiliary.reduction,
        backward=auxiliary.backward,
        rows_per_backward=auxiliary.rows_per_backward,
    )


def _row_fields(recipe: Recipe) -> dict[str, Any]:
    """What the flat fields say of rows, for the check of the layout: whether the gradient of any is measured."""
    is_measured = any(a.weight.measured_every for a in recipe.auxiliaries)
    return {
        "mel_weight": "grad_norm" if is_measured else "constant",
        "mel_diagnostics": recipe.diagnostics.model_dump(),
    }


def _patience(recipe: Recipe) -> dict[str, Any]:
    """A longer timeout for the other processes where one of them evaluates within the run."""
    return {"ddp_timeout": EVALUATION_TIMEOUT_S} if recipe.evaluation.is_within_run and num_processes() > 1 else {}
