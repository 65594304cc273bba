"""Recipes: one YAML file per run, every key checked, unknown ones refused with the nearest valid name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from mel.hosts import HOSTS, lora_model, trainer_model
from mel.methods import AUXILIARIES, CARRIERS, CREDITS, DiagnosticsSettings, check_slots, known
from mel.methods.declaration import AuxiliarySettings, CarrierSettings, CreditSettings, Settings
from mel.recipe_files import PLAIN_WORD, read_recipe
from mel.types import Message
from mel.value_check import check, faults


def _plain_word(value: str) -> str:
    if not PLAIN_WORD.fullmatch(value):
        raise ValueError(f"expected a plain word (letters, digits, '_', '-', '.', '+'), got {value!r}; it names files")
    return value


PlainWord = Annotated[str, AfterValidator(_plain_word)]

Flag = Annotated[bool, Field(strict=False)]
"""True or false, or the words that YAML 1.1 has for them: yes, no, on, off."""

_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Section(BaseModel):
    """Base of all sections: immutable, no unknown key, and nothing converted: `"2"` is no number."""

    model_config = _STRICT


class ModelSection(Section):
    """The policy to train.

    Args:
        path: a model directory, a hub id, or `miniature:WORLD` for a policy shipped with this package.
        chat_template: `plain` (base models), `chatml`, a path of a Jinja file, or null for the tokenizer's own.
        dtype: `float32` or `bfloat16` of the weights.
        attention: the attention implementation by its transformers name; null for the default.
        lora: fields of `peft.LoraConfig`; null trains every weight.
    """

    path: str
    chat_template: str | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    attention: str | None = None
    lora: dict[str, Any] | None = None


class TurnSection(Section):
    """A turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class TaskSection(Section):
    """What is asked.

    Args:
        name: see `mel.tasks`.
        options: the task's own options.
        split: where the training problems come from.
        count: how many of them; null for all.
        prompts: a prompt set's name or directory; null for the task's own.
        opening: turns before every problem, in training and in evaluation: a system prompt (its text alone will do),
            solved examples as pairs of a user's and an assistant's turn, or both.
    """

    name: str
    options: dict[str, Any] = Field(default_factory=dict)
    split: str = "train"
    count: int | None = Field(default=None, ge=1)
    prompts: str | None = None
    opening: list[TurnSection] = Field(default_factory=list)

    @field_validator("opening", mode="before")
    @classmethod
    def _text_is_a_system_prompt(cls, value: Any) -> Any:
        return [{"role": "system", "content": value}] if isinstance(value, str) else [] if value is None else value

    @field_validator("opening")
    @classmethod
    def _turns_alternate(cls, value: list[TurnSection]) -> list[TurnSection]:
        roles = [turn.role for turn in value]
        examples = roles[1:] if roles[:1] == ["system"] else roles
        if examples != ["user", "assistant"] * (len(examples) // 2):
            raise ValueError(
                "expected a system prompt, pairs of a user's and an assistant's turn, or both in this order, got the "
                f"roles {', '.join(roles)}"
            )
        return value

    @property
    def turns(self) -> tuple[Message, ...]:
        """The opening as chat templates take it."""
        return tuple({"role": turn.role, "content": turn.content} for turn in self.opening)


def _settings_of_that_name(values: Any, table: Mapping[str, type[Settings]], what: str) -> Any:
    """The union of all settings of a slot, told apart by the section's name; the table may have grown by a plug-in."""
    if not isinstance(values, Mapping):
        return values
    settings = values.get("settings") or {}
    known(values.get("name"), table, what)
    if isinstance(settings, Settings):
        return values
    if not isinstance(settings, Mapping):
        raise ValueError(f"settings: expected a mapping of settings, got {settings!r}")
    return {**values, "settings": table[values["name"]](**settings)}


class SlotSection(Section):
    """A carrier or a credit rule: its name alone, or with its settings; without any to set it is recorded as its name.

    Args:
        settings: of the class that the slot's table in `mel.methods` has under that name; every default is filled in.
    """

    name: str
    settings: SerializeAsAny[Settings]

    @model_serializer(mode="wrap")
    def _as_written(self, written: SerializerFunctionWrapHandler) -> Any:
        return written(self) if type(self.settings).model_fields else self.name


class CarrierSection(SlotSection):
    """How a group's rewards become advantages, and which surrogate is minimized; a `SlotSection`."""

    settings: SerializeAsAny[CarrierSettings]

    @model_validator(mode="before")
    @classmethod
    def _of_table(cls, values: Any) -> Any:
        return _settings_of_that_name({"name": values} if isinstance(values, str) else values, CARRIERS, "carrier")


class CreditSection(SlotSection):
    """At which tokens of a rollout its advantage counts; a `SlotSection`."""

    settings: SerializeAsAny[CreditSettings]

    @model_validator(mode="before")
    @classmethod
    def _of_table(cls, values: Any) -> Any:
        return _settings_of_that_name({"name": values} if isinstance(values, str) else values, CREDITS, "credit rule")


class WeightSection(Section):
    """How strongly the rows count beside the policy loss.

    Args:
        kind: `constant`: lambda as it is (paper: 1). `grad_norm`: lambda_t keeps the norm of the rows'
            gradient at `share` times that of the policy gradient.
        every: `grad_norm`: gradients are measured every so many optimizer steps; null: in each. 1 is read as null: it
            was the default once, for constant weights too, and stands in every recipe that was recorded then.
        decay: of the exponential mean of the measured ratio.
        schedule: of lambda over the run: `constant` (paper), `linear` or `cosine`, from all of it down to `final`.
        final: what is left of lambda at the end, 0 to 1.
        conflict: rows whose gradient points against the policy's: `keep` it as it is (paper), or `project` it on what
            does not (PCGrad); that needs a measurement in every step.
    """

    kind: Literal["constant", "grad_norm"] = "grad_norm"
    value: float = Field(default=1.0, ge=0.0, alias="lambda")
    share: float = Field(default=3.0, gt=0.0)
    every: int | None = Field(default=None, ge=0)
    decay: float = Field(default=0.9, ge=0.0, lt=1.0)
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    final: float = Field(default=0.0, ge=0.0, le=1.0)
    conflict: Literal["keep", "project"] = "keep"

    model_config = _STRICT | ConfigDict(populate_by_name=True, serialize_by_alias=True)

    @model_validator(mode="before")
    @classmethod
    def _former_default(cls, values: Any) -> Any:
        return {**values, "every": None} if isinstance(values, dict) and values.get("every") == 1 else values

    @model_validator(mode="after")
    def _is_measured(self) -> WeightSection:
        if self.kind == "grad_norm" and self.every == 0:
            raise ValueError("every: expected at least 1 optimizer step between measurements for grad_norm, got 0")
        if self.conflict == "project" and self.every not in (None, 1):
            raise ValueError(
                f"every: expected 1 where conflict is 'project', which compares gradients, got {self.every}"
            )
        if self.kind == "constant" and self.conflict == "keep" and self.every:
            raise ValueError(
                f"every: a constant weight measures nothing, got {self.every}: leave it out; norms and cosine are "
                f"logged for all auxiliaries by diagnostics: {{measures: [gradients], every: {self.every}}}"
            )
        return self

    @model_validator(mode="after")
    def _has_effect(self) -> WeightSection:
        if self.kind == "grad_norm" and self.value != 1.0:
            raise ValueError(
                f"lambda: kind 'grad_norm' sets lambda itself, by share, got {self.value}: set kind: constant, or "
                "leave it out"
            )
        if self.schedule == "constant" and self.final != 0.0:
            raise ValueError(
                f"final: a constant schedule keeps all of lambda, got {self.final}: set schedule: linear or cosine, or "
                "leave it out"
            )
        return self

    @property
    def measured_every(self) -> int:
        """Optimizer steps between two measurements that this rule needs; 0: it needs none."""
        if self.kind == "constant":
            return int(self.conflict == "project")
        return self.every or 1


class AuxiliarySection(Section):
    """One auxiliary by its name, its settings, and how its rows enter the optimizer step.

    Args:
        settings: of the class that `mel.methods.AUXILIARIES` has under that name; every default is filled in.
        reduction: `row`: mean over the tokens of each row, then over rows (paper). `token`: over all tokens.
        backward: `separate` passes of at most `rows_per_backward` rows, or in the policy's own pass (`joint`).
    """

    name: str
    settings: SerializeAsAny[AuxiliarySettings]
    weight: WeightSection = WeightSection()
    reduction: Literal["row", "token"] = "row"
    backward: Literal["joint", "separate"] = "separate"
    rows_per_backward: int = Field(default=16, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _of_table(cls, values: Any) -> Any:
        return _settings_of_that_name(values, AUXILIARIES, "auxiliary")


class SuiteSection(Section):
    """One set of held-out problems to evaluate on.

    Args:
        options: changes to the task's options; `task` another task altogether.
        k: samples per problem for Avg@k and Pass@k; 0 for greedy Pass@1 alone.
    """

    name: PlainWord
    task: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    split: str = "test"
    count: int | None = Field(default=None, ge=1)
    k: int = Field(default=8, ge=0)
    temperature: float = Field(default=1.0, gt=0.0)
    max_tokens: int = Field(default=1024, ge=1)


class EvaluationSection(Section):
    """When and on what to evaluate.

    Args:
        every: greedy Pass@1 on the first suite every so many steps; null only before and after training.
        before: evaluate the untrained policy too.
        after: evaluate the trained policy within the run; false where it lies in shards: use `mel eval RUN` then.
    """

    suites: list[SuiteSection] = Field(default_factory=list)
    every: int | None = Field(default=None, ge=1)
    before: Flag = True
    after: Flag = True
    batch_size: int = Field(default=256, ge=1)

    @property
    def is_within_run(self) -> bool:
        """Whether a training run evaluates anything itself."""
        return bool(self.suites) and (self.before or self.after or self.every is not None)

    @model_validator(mode="after")
    def _has_something_to_evaluate(self) -> EvaluationSection:
        if self.every is not None and not self.suites:
            raise ValueError(
                f"every: expected suites to evaluate every {self.every} steps, got none; add one or set null"
            )
        return self


class OutputSection(Section):
    """Where the run directory goes (`path`, or `runs/<recipe>-s<seed>`), and what else is kept and shown.

    Args:
        tracked_experiences: lines of the table of experiences that the trackers of `trainer.report_to` get; 0: none.
        rollouts: keep every training rollout with its verdict, as Parquet files in the run directory.
    """

    path: str | None = None
    save_final: Flag = True
    tracked_experiences: int = 5
    rollouts: Flag = False

    @field_validator("tracked_experiences")
    @classmethod
    def _is_a_count(cls, value: int) -> int:
        if value < 0:
            raise ValueError(f"expected the number of experiences per table, 0 for no table, got {value}")
        return value


class Recipe(Section):
    """One run. `trainer` takes any field of TRL's `GRPOConfig` by its name, and `mel_engine_*`; the host checks."""

    name: PlainWord
    description: str = ""
    host: str = "trl"
    model: ModelSection
    task: TaskSection
    carrier: CarrierSection = CarrierSection.model_validate("grpo")
    credit: CreditSection = CreditSection.model_validate("outcome")
    auxiliaries: list[AuxiliarySection] = Field(default_factory=list)
    diagnostics: DiagnosticsSettings = DiagnosticsSettings()
    trainer: dict[str, Any] = Field(default_factory=dict)
    evaluation: EvaluationSection = EvaluationSection()
    output: OutputSection = OutputSection()

    @model_validator(mode="after")
    def _slots_are_known(self) -> Recipe:
        known(self.host, HOSTS, "host")
        check(
            trainer_model(self.host),
            self.trainer,
            at="trainer",
            whose="a field of TRL's GRPOConfig, or mel_engine_*",
        )
        check(lora_model(), self.model.lora or {}, at="model.lora", whose="a field of peft.LoraConfig")
        check_slots(self.carrier.settings, self.credit.settings, [auxiliary.settings for auxiliary in self.auxiliaries])
        self.diagnostics.check_auxiliaries(has_auxiliaries=bool(self.auxiliaries))
        return self

    @property
    def seed(self) -> int:
        """The run's seed: TRL's own field."""
        return self.trainer.get("seed", 42)

    def with_suites(self, suites: Sequence[SuiteSection]) -> Recipe:
        """The same recipe that evaluates on these suites."""
        return self.model_copy(update={"evaluation": self.evaluation.model_copy(update={"suites": list(suites)})})

    def resolved(self) -> dict[str, Any]:
        """Plain values with every default filled in, as the run directory records them."""
        return self.model_dump(mode="json", by_alias=True)

    def sha256(self) -> str:
        """Identity of the resolved recipe."""
        return hashlib.sha256(json.dumps(self.resolved(), sort_keys=True).encode()).hexdigest()


def load_recipe(name_or_path: str, changes: Sequence[str] = ()) -> Recipe:
    """The recipe of that name in this package or in that file, on its bases and with `--set a.b=c` changes applied.

    Raises:
        ValueError: no such recipe, not YAML, an unknown key (the nearest valid one is named) or a bad value.
    """
    return parse_recipe(read_recipe(name_or_path, changes), source=name_or_path)


def parse_recipe(table: Mapping[str, Any], *, source: str = "recipe") -> Recipe:
    """The recipe those plain values describe.

    Raises:
        ValueError: one line per fault, each with the key's full path.
    """
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        lines = faults(error, Recipe.model_json_schema(), table)
        raise ValueError(f"{source}: " + "; ".join(lines)) from None
