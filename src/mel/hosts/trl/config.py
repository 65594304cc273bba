"""`MELConfig`: GRPOConfig plus the settings of meta-experience learning as flat `mel_*` fields."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from trl.trainer.grpo_config import GRPOConfig

from mel.methods import DiagnosticsSettings, MetaExperienceSettings, carrier_settings, credit_settings
from mel.objective.weight import Constant, GradNorm, Weight
from mel.step import RowLearning

WEIGHTS = ("constant", "grad_norm")


def _of_method(name: str) -> Any:
    """A field with the default and the description that the method's settings give it: they stand there alone."""
    setting = MetaExperienceSettings.model_fields[name]
    return field(default=setting.default, metadata={"help": (setting.description or "").replace("%", "%%")})


@dataclass
class MELConfig(GRPOConfig):
    """Everything of `GRPOConfig`, and how experiences are made, replayed and learned.

    The defaults are the recipe `recommended` (bifurcation replay); the paper's values are named in
    `mel.methods.PAPER`. A plain `GRPOConfig` given to `MELTrainer` means these defaults.
    """

    _VALID_DICT_FIELDS: ClassVar[list[str]] = [
        *GRPOConfig._VALID_DICT_FIELDS,
        "mel_carrier_settings",
        "mel_credit_settings",
        "mel_diagnostics",
    ]

    mel_pairs_per_group: int = _of_method("pairs_per_group")
    mel_choose: str = _of_method("choose")
    mel_localizer: str = _of_method("localizer")
    mel_localize_samples: int = _of_method("localize_samples")
    mel_localize_rounds: int = _of_method("localize_rounds")
    mel_construct_from: str = _of_method("construct_from")
    mel_construct_calls: int = _of_method("construct_calls")
    mel_construct_max_tokens: int = _of_method("construct_max_tokens")
    mel_construct_temperature: float = _of_method("construct_temperature")
    mel_max_pair_tokens: int | None = _of_method("max_pair_tokens")
    mel_long_pairs: str = _of_method("long_pairs")
    mel_guard: str = _of_method("guard")
    mel_replay_from: str = _of_method("replay_from")
    mel_replay_on: str = _of_method("replay_on")
    mel_replay_samples: int = _of_method("replay_samples")
    mel_replay_max_tokens: int | None = _of_method("replay_max_tokens")
    mel_replay_temperature: float = _of_method("replay_temperature")
    mel_accept: str = _of_method("accept")
    mel_margin: float = _of_method("margin")
    mel_filter: str = _of_method("filter")
    mel_target: str = _of_method("target")
    mel_context: str = _of_method("context")
    mel_objective: str = _of_method("objective")
    mel_divergence: str = _of_method("divergence")
    mel_top_k: int | None = _of_method("top_k")
    mel_gather: int = _of_method("gather")
    mel_gate: str = _of_method("gate")
    mel_gate_retention: float = _of_method("gate_retention")
    mel_gate_uplift: float = _of_method("gate_uplift")
    mel_gate_decay: float = _of_method("gate_decay")
    mel_carrier: str = field(default="grpo", metadata={"help": "Carrier: a name of mel.methods.CARRIERS."})
    mel_carrier_settings: dict[str, Any] | str | None = field(default=None, metadata={"help": "Its settings."})
    mel_credit: str = field(default="outcome", metadata={"help": "Credit rule: a name of mel.methods.CREDITS."})
    mel_credit_settings: dict[str, Any] | str | None = field(default=None, metadata={"help": "Its settings."})
    mel_reduction: str = field(default="row", metadata={"help": "Mean per row, then rows; or over all tokens."})
    mel_weight: str = field(default="grad_norm", metadata={"help": "constant (lambda) or grad_norm (share)."})
    mel_lambda: float = field(default=1.0, metadata={"help": "Weight of the rows if mel_weight is constant."})
    mel_share: float = field(default=3.0, metadata={"help": "Norm of the rows' gradient over the policy's."})
    mel_measure_every: int | None = field(
        default=None, metadata={"help": "grad_norm: optimizer steps between gradient measurements; None: 1."}
    )
    mel_decay: float = field(default=0.9, metadata={"help": "Of the exponential mean between measurements."})
    mel_schedule: str = field(
        default="constant", metadata={"help": "Of the weight over the run: constant, linear or cosine."}
    )
    mel_final: float = field(default=0.0, metadata={"help": "What linear and cosine leave of the weight, 0 to 1."})
    mel_conflict: str = field(
        default="keep", metadata={"help": "Rows whose gradient points against the policy's: keep it, or project it."}
    )
    mel_backward: str = field(
        default="separate", metadata={"help": "separate: rows in backward passes of their own. joint: in the policy's."}
    )
    mel_rows_per_backward: int = field(default=16, metadata={"help": "Rows per separate backward pass."})
    mel_diagnostics: dict[str, Any] | str | None = field(
        default=None, metadata={"help": "What is measured beside training: measures, every, pairs, samples."}
    )
    mel_correctness: str | None = field(
        default=None, metadata={"help": "Name or index of the reward function that says right or wrong; None: first."}
    )
    mel_right_above: float = field(default=0.5, metadata={"help": "Right iff that reward exceeds this."})
    mel_engine_check_every: int = field(
        default=50, metadata={"help": "Generation batches between two checks of the engine's weights; 0: never."}
    )
    mel_engine_tolerance: float = field(
        default=0.2, metadata={"help": "Nats per token by which engine and trainer may differ on sampled tokens."}
    )
    mel_tracked_experiences: int = field(
        default=5, metadata={"help": "Experiences in the table that trackers of `report_to` get per log; 0: none."}
    )
    mel_engine_probe: bool = field(
        default=True, metadata={"help": "Prove at the first batch that weights pushed into vLLM arrive in it."}
    )
    mel_prompts: str = field(default="math", metadata={"help": "Prompt set: a name or a directory."})
    mel_chat_template: str | None = field(
        default=None, metadata={"help": "plain, chatml, a Jinja file or Jinja text; None: the tokenizer's own."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings(self)


DEFAULTS: dict[str, Any] = {f.name: f.default for f in fields(MELConfig) if f.name.startswith("mel_")}


def setting(args: GRPOConfig, name: str) -> Any:
    """The value of `mel_<name>`, or its default if `args` is a plain GRPOConfig."""
    return getattr(args, f"mel_{name}", DEFAULTS[f"mel_{name}"])


def check_settings(args: GRPOConfig) -> None:
    """Refuses settings that cannot work, saying what to change.

    Raises:
        ValueError: an unknown choice or a number out of its range.
    """
    if setting(args, "weight") not in WEIGHTS:
        raise ValueError(f"mel_weight: expected one of {', '.join(WEIGHTS)}, got {setting(args, 'weight')!r}")
    tracked = setting(args, "tracked_experiences")
    if isinstance(tracked, bool) or not isinstance(tracked, int) or tracked < 0:
        raise ValueError(
            "mel_tracked_experiences: expected the number of experiences per table in the trackers, 0 for no table, "
            f"got {tracked!r}"
        )
    experience_settings(args)
    carrier_settings(setting(args, "carrier"), setting(args, "carrier_settings"))
    credit_settings(setting(args, "credit"), setting(args, "credit_settings"))
    row_learning(args)
    diagnostics_of(args)


def check_layout(args: GRPOConfig) -> None:
    """Refuses batches that auxiliaries cannot work with; without auxiliaries any layout that TRL takes will do.

    Raises:
        ValueError: a group split over ranks, or gradients measured where an optimizer step spans two generation
            batches; the numbers and what to change.
    """
    check_groups(args)
    is_measured = row_learning(args).weight.every or diagnostics_of(args).compares_gradients_every
    steps, accumulation = args.steps_per_generation or 1, int(args.gradient_accumulation_steps or 1)
    if is_measured and steps % accumulation:
        raise ValueError(
            "measuring gradients (mel_weight='grad_norm', or a diagnosis of gradients) needs every optimizer step to "
            f"fall within one generation batch: steps_per_generation ({steps}) must be a multiple of "
            f"gradient_accumulation_steps ({accumulation}); change one of them, or set mel_weight='constant' "
            "without that diagnosis; or pass `method=plain_method()` (of mel.hosts.trl) for a method without "
            "auxiliaries"
        )


def splits_groups(args: GRPOConfig) -> bool:
    """Whether the rollouts of one problem lie on two ranks."""
    local = args.per_device_train_batch_size * (args.steps_per_generation or 1)
    return local % (args.num_generations or 1) != 0


def check_groups(args: GRPOConfig) -> None:
    """Refuses a layout in which the rollouts of one problem lie on two ranks.

    Raises:
        ValueError: with the three numbers and what to change.
    """
    local = args.per_device_train_batch_size * (args.steps_per_generation or 1)
    if splits_groups(args):
        raise ValueError(
            f"a group of rollouts would be split over ranks: per_device_train_batch_size "
            f"({args.per_device_train_batch_size}) x steps_per_generation ({args.steps_per_generation}) = {local} must "
            f"be a multiple of num_generations ({args.num_generations})"
        )


def check_other_groups(args: GRPOConfig, who: str) -> None:
    """Refuses batches in which an auxiliary that compares groups would never see two of them.

    Raises:
        ValueError: with the numbers and what to change.
    """
    local = args.per_device_train_batch_size * (args.steps_per_generation or 1)
    if local < 2 * (args.num_generations or 1):
        raise ValueError(
            f"{who} compares the groups of different problems, and each process has one group in a generation batch: "
            f"per_device_train_batch_size ({args.per_device_train_batch_size}) x steps_per_generation "
            f"({args.steps_per_generation}) = {local} must be at least twice num_generations ({args.num_generations})"
        )


def experience_settings(args: GRPOConfig) -> MetaExperienceSettings:
    """What the auxiliary `meta_experience` needs, out of the flat fields."""
    return MetaExperienceSettings(**{name: setting(args, name) for name in MetaExperienceSettings.model_fields})


def diagnostics_of(args: GRPOConfig) -> DiagnosticsSettings:
    """What is measured beside training.

    Raises:
        ValueError: an unknown measure or setting.
    """
    try:
        return DiagnosticsSettings(**(setting(args, "diagnostics") or {}))
    except ValueError as error:
        raise ValueError(f"mel_diagnostics: {error}") from None


def row_learning(args: GRPOConfig) -> RowLearning:
    """How rows are learned as the flat fields say; a new value each time, for it holds the weight's running mean.

    Raises:
        ValueError: a choice that there is not, named as the field.
    """
    try:
        return RowLearning(
            weight=_weight(args),
            schedule=setting(args, "schedule"),
            final=setting(args, "final"),
            conflict=setting(args, "conflict"),
            reduction=setting(args, "reduction"),
            backward=setting(args, "backward"),
            rows_per_backward=setting(args, "rows_per_backward"),
        )
    except ValueError as error:
        raise ValueError(f"mel_{error}") from None


def _weight(args: GRPOConfig) -> Weight:
    every = setting(args, "measure_every")
    if setting(args, "weight") == "constant":
        is_compared = setting(args, "conflict") == "project"
        if every and not is_compared:
            raise ValueError(
                f"measure_every: a constant weight measures nothing, got {every}: leave it out, and to have norms and "
                f"cosine logged set mel_diagnostics={{'measures': ['gradients'], 'every': {every}}}"
            )
        return Constant(setting(args, "lambda"), every=int(is_compared))
    if setting(args, "lambda") != DEFAULTS["mel_lambda"]:
        raise ValueError(
            f"lambda: grad_norm sets lambda itself, by mel_share, got {setting(args, 'lambda')}: set "
            "mel_weight='constant', or leave it out"
        )
    return GradNorm(setting(args, "share"), every=1 if every is None else every, decay=setting(args, "decay"))
