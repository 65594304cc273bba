"""`MELConfig`: GRPOConfig plus the settings of meta-experience learning as flat `mel_*` fields."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from trl.trainer.grpo_config import GRPOConfig

from mel.methods import MetaExperienceSettings
from mel.objective.weight import Constant, GradNorm, Weight

BACKWARDS = ("joint", "separate")
REDUCTIONS = ("row", "token")
WEIGHTS = ("constant", "grad_norm")


@dataclass
class MELConfig(GRPOConfig):
    """Everything of `GRPOConfig`, and how experiences are made, replayed and learned.

    The defaults are the recipe `recommended` (bifurcation replay); the paper's values are named in
    `mel.methods.PAPER`. A plain `GRPOConfig` given to `MELTrainer` means these defaults.
    """

    mel_pairs_per_group: int = field(default=2, metadata={"help": "Pairs per mixed group at most."})
    mel_choose: str = field(default="random", metadata={"help": "random, closest or closest_distinct pairs."})
    mel_construct_max_tokens: int = field(default=1024, metadata={"help": "Limit of the text that holds M."})
    mel_construct_temperature: float = field(default=0.0, metadata={"help": "0 is greedy."})
    mel_max_pair_tokens: int | None = field(
        default=None, metadata={"help": "Longest construction prompt in tokens; None: no limit."}
    )
    mel_long_pairs: str = field(default="drop", metadata={"help": "Pairs whose prompt is longer: drop or cut them."})
    mel_guard: str = field(default="count", metadata={"help": "Experiences that state the answer: count or reject."})
    mel_replay_from: str = field(default="bifurcation", metadata={"help": "start or bifurcation."})
    mel_replay_samples: int = field(default=1, metadata={"help": "Attempts per candidate."})
    mel_replay_max_tokens: int | None = field(default=None, metadata={"help": "Limit of a replay; None: rollouts'."})
    mel_replay_temperature: float = field(default=1.0, metadata={"help": "Sampling temperature of replays."})
    mel_accept: str = field(default="right", metadata={"help": "Keep iff right, uplift or all."})
    mel_margin: float = field(default=0.0, metadata={"help": "What uplift adds to the group's pass rate."})
    mel_filter: str = field(default="replay", metadata={"help": "replay, or a control: none, shuffled."})
    mel_target: str = field(default="step", metadata={"help": "Learn experience, heuristic, step or solution."})
    mel_context: str = field(default="prefix", metadata={"help": "In context retrospective, question or prefix."})
    mel_reduction: str = field(default="row", metadata={"help": "Mean per row, then rows; or over all tokens."})
    mel_weight: str = field(default="grad_norm", metadata={"help": "constant (lambda) or grad_norm (share)."})
    mel_lambda: float = field(default=1.0, metadata={"help": "Weight of the rows if mel_weight is constant."})
    mel_share: float = field(default=3.0, metadata={"help": "Norm of the rows' gradient over the policy's."})
    mel_measure_every: int | None = field(
        default=None, metadata={"help": "Optimizer steps between gradient measurements; None: 1 for grad_norm, else 0."}
    )
    mel_decay: float = field(default=0.9, metadata={"help": "Of the exponential mean between measurements."})
    mel_backward: str = field(default="separate", metadata={"help": "Rows in the policy's backward pass, or joint."})
    mel_rows_per_backward: int = field(default=16, metadata={"help": "Rows per separate backward pass."})
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
    mel_chat_template: str | None = field(default=None, metadata={"help": "Jinja text instead of the tokenizer's."})

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
        ValueError: an unknown choice, a group split over ranks, or a weight rule that the batch layout rules out.
    """
    for name, allowed in (("backward", BACKWARDS), ("reduction", REDUCTIONS), ("weight", WEIGHTS)):
        if setting(args, name) not in allowed:
            raise ValueError(f"mel_{name}: expected one of {', '.join(allowed)}, got {setting(args, name)!r}")
    if setting(args, "rows_per_backward") < 1:
        raise ValueError(f"mel_rows_per_backward: expected at least 1, got {setting(args, 'rows_per_backward')}")
    tracked = setting(args, "tracked_experiences")
    if isinstance(tracked, bool) or not isinstance(tracked, int) or tracked < 0:
        raise ValueError(
            "mel_tracked_experiences: expected the number of experiences per table in the trackers, 0 for no table, "
            f"got {tracked!r}"
        )
    experience_settings(args)
    weight = build_weight(args)
    check_groups(args)
    steps, accumulation = args.steps_per_generation or 1, int(args.gradient_accumulation_steps or 1)
    if weight.every and steps % accumulation:
        raise ValueError(
            "measuring gradients (mel_weight='grad_norm' or mel_measure_every) needs every optimizer step to fall "
            f"within one generation batch: steps_per_generation ({steps}) must be a multiple of "
            f"gradient_accumulation_steps ({accumulation}); change one of them, or set mel_weight='constant' and "
            "mel_measure_every=0"
        )


def check_groups(args: GRPOConfig) -> None:
    """Refuses a layout in which the rollouts of one problem lie on two ranks.

    Raises:
        ValueError: with the three numbers and what to change.
    """
    local = args.per_device_train_batch_size * (args.steps_per_generation or 1)
    if local % (args.num_generations or 1):
        raise ValueError(
            f"a group of rollouts would be split over ranks: per_device_train_batch_size "
            f"({args.per_device_train_batch_size}) x steps_per_generation ({args.steps_per_generation}) = {local} must "
            f"be a multiple of num_generations ({args.num_generations})"
        )


def experience_settings(args: GRPOConfig) -> MetaExperienceSettings:
    """What the auxiliary `meta_experience` needs, out of the flat fields."""
    return MetaExperienceSettings(**{f.name: setting(args, f.name) for f in fields(MetaExperienceSettings)})


def build_weight(args: GRPOConfig) -> Weight:
    """The rule for lambda that the flat fields ask for."""
    every = setting(args, "measure_every")
    if setting(args, "weight") == "constant":
        return Constant(setting(args, "lambda"), every=every or 0)
    return GradNorm(setting(args, "share"), every=1 if every is None else every, decay=setting(args, "decay"))
