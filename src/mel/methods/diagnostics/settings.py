"""What a recipe says of its diagnostics: which measures, how often, and how many samples they may take."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

from pydantic import Field, field_validator

from mel.methods.declaration import AskingSettings
from mel.methods.needs import Limits, Longest, Needs
from mel.ports import Inspectable

Measure = Literal["gradients", "initial_kl", "localization", "recovery", "hint_reliance"]

WHOLE_COPY = (
    "diagnostics.measures: 'initial_kl' needs a copy of all weights beside the policy, which a sharded one (FSDP, "
    "DeepSpeed) cannot have: train a LoRA adapter, set trainer.beta above 0 (TRL then keeps the initial policy as its "
    "reference), or leave it out"
)

MEASURES: tuple[Measure, ...] = get_args(Measure)

ALWAYS = {"entropy": "entropy", "groups": "reward/groups_mixed", "retention": "experience/retention"}
"""What somebody may look for among the measures, and the path under which every line has it anyway."""


class DiagnosticsSettings(AskingSettings):
    """The recipe's section `diagnostics`; without measures, which is the default, nothing is asked and nothing costs.

    Args:
        measures: `gradients`: norms of the policy's and of each auxiliary's gradient, and their cosine. `initial_kl`:
            KL of the policy to the one before training. `localization`: s* against the true first wrong step, beside
            two baselines. `recovery`: success of continuing a wrong solution from before s* minus from behind it.
            `hint_reliance`: success of attempts that were given something minus success without it.
        every: optimizer steps between two measurements, from the first step on; a generation batch that serves several
            steps is looked at in the first of them.
        pairs: wrong solutions that `recovery` and `hint_reliance` take of a generation batch, per process.
        samples: attempts that these two make at each.
    """

    name: ClassVar[str] = "diagnostics"
    place: ClassVar[str | None] = ""  # a recipe says where its section is

    measures: list[Measure] = Field(default=[], description="What is measured; nothing if empty.")
    every: int = Field(default=10, ge=1, description="Optimizer steps between two measurements.")
    pairs: int = Field(default=8, ge=1, description="Wrong solutions that are continued, per batch and process.")
    samples: int = Field(default=2, ge=1, description="Continuations of each.")

    @field_validator("measures", mode="before")
    @classmethod
    def _is_not_there_anyway(cls, value: object) -> object:
        for name in value if isinstance(value, list) else ():
            if name in ALWAYS:
                raise ValueError(
                    f"expected measures among {', '.join(MEASURES)}, got {name!r}, which every line of metrics holds "
                    f"already as {ALWAYS[name]}: leave it out"
                )
        return value

    @property
    def compares_gradients_every(self) -> int:
        """Optimizer steps between two comparisons of gradients; 0: never."""
        return self.every if "gradients" in self.measures else 0

    @property
    def reads_text(self) -> bool:
        """Whether problems, solutions and verdicts are looked at."""
        return any(measure != "gradients" for measure in self.measures)

    @property
    def needs_initial_policy(self) -> bool:
        """Whether the host must keep the policy as it was before training."""
        return "initial_kl" in self.measures

    @property
    def generates(self) -> bool:
        """Whether tokens are sampled for it."""
        return not {"recovery", "hint_reliance"}.isdisjoint(self.measures)

    def check(self, *, has_auxiliaries: bool, inspector: Inspectable | None) -> None:
        """Refuses what could never be measured in such a run.

        Raises:
            ValueError: the measure, what it needs, and what to change.
        """
        if "localization" in self.measures and inspector is None:
            raise ValueError(
                "diagnostics.measures: 'localization' needs a task that knows the first wrong step, and this one does "
                "not; leave it out"
            )
        self.check_auxiliaries(has_auxiliaries=has_auxiliaries)

    def check_auxiliaries(self, *, has_auxiliaries: bool) -> None:
        """The part of `check` that a recipe alone decides."""
        lacking = [measure for measure in ("gradients", "hint_reliance") if measure in self.measures]
        if lacking and not has_auxiliaries:
            raise ValueError(
                f"diagnostics.measures: {lacking[0]!r} is about an auxiliary beside the policy, and there is none; "
                "leave it out"
            )

    def needs(self, limits: Limits) -> Needs:
        """Continuations of a wrong solution from anywhere; attempts without a hint are no longer."""
        if not self.generates:
            return Needs()
        per_group = self.samples * (2 if "recovery" in self.measures else 1)
        prompt = limits.prompt + limits.completion
        knob = "diagnostics.measures"
        return Needs(
            phases=(
                Longest(phase=self.name, prompt=prompt, completion=limits.completion, knob=knob, per_group=per_group),
            )
        )
