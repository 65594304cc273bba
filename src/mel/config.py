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
    ValidationError,
    field_validator,
    model_validator,
)

from mel.hosts import HOSTS
from mel.methods import AUXILIARIES, CARRIERS, CREDITS, AuxiliarySettings, check_slots, known
from mel.naming import did_you_mean
from mel.recipe_files import PLAIN_WORD, read_recipe


def _plain_word(value: str) -> str:
    if not PLAIN_WORD.fullmatch(value):
        raise ValueError(f"expected a plain word (letters, digits, '_', '-', '.', '+'), got {value!r}; it names files")
    return value


PlainWord = Annotated[str, AfterValidator(_plain_word)]


class Section(BaseModel):
    """Base of all sections: immutable, no unknown key."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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


class TaskSection(Section):
    """What is asked.

    Args:
        name: see `mel.tasks`.
        options: the task's own options.
        split: where the training problems come from.
        count: how many of them; null for all.
        prompts: a prompt set's name or directory; null for the task's own.
    """

    name: str
    options: dict[str, Any] = Field(default_factory=dict)
    split: str = "train"
    count: int | None = None
    prompts: str | None = None


class WeightSection(Section):
    """How strongly the rows count beside the policy loss.

    Args:
        kind: `constant`: lambda as it is (paper: 1). `grad_norm`: lambda_t keeps the norm of the rows'
            gradient at `share` times that of the policy gradient.
        every: gradients are measured every so many optimizer steps; 0: never (`constant` only; DeepSpeed needs it).
        decay: of the exponential mean of the measured ratio.
        schedule: of lambda over the run: `constant` (paper), `linear` or `cosine`, from all of it down to `final`.
        final: what is left of lambda at the end, 0 to 1.
        conflict: rows whose gradient points against the policy's: `keep` it as it is (paper), or `project` it on what
            does not (PCGrad); that needs a measurement in every step.
    """

    kind: Literal["constant", "grad_norm"] = "grad_norm"
    value: float = Field(default=1.0, ge=0.0, alias="lambda")
    share: float = Field(default=3.0, gt=0.0)
    every: int = Field(default=1, ge=0)
    decay: float = Field(default=0.9, ge=0.0, lt=1.0)
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    final: float = Field(default=0.0, ge=0.0, le=1.0)
    conflict: Literal["keep", "project"] = "keep"

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)

    @model_validator(mode="after")
    def _is_measured(self) -> WeightSection:
        if self.kind == "grad_norm" and self.every == 0:
            raise ValueError("every: expected at least 1 optimizer step between measurements for grad_norm, got 0")
        if self.conflict == "project" and self.every != 1:
            raise ValueError(
                f"every: expected 1 where conflict is 'project', which compares gradients, got {self.every}"
            )
        return self


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
    def _settings_of_that_name(cls, values: Any) -> Any:
        """The union of all settings, told apart by the section's name; the table may have grown by a plug-in."""
        if not isinstance(values, Mapping) or not isinstance(values.get("name"), str):
            return values
        settings = values.get("settings") or {}
        known(values["name"], AUXILIARIES, "auxiliary")
        if isinstance(settings, AuxiliarySettings):
            return values
        if not isinstance(settings, Mapping):
            raise ValueError(f"settings: expected a mapping of settings, got {settings!r}")
        return {**values, "settings": AUXILIARIES[values["name"]](**settings)}


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
    count: int | None = None
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
    before: bool = True
    after: bool = True
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
    """

    path: str | None = None
    save_final: bool = True
    tracked_experiences: int = 5

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
    carrier: str = "grpo"
    credit: str = "outcome"
    auxiliaries: list[AuxiliarySection] = Field(default_factory=list)
    trainer: dict[str, Any] = Field(default_factory=dict)
    evaluation: EvaluationSection = EvaluationSection()
    output: OutputSection = OutputSection()

    @model_validator(mode="after")
    def _slots_are_known(self) -> Recipe:
        known(self.host, HOSTS, "host")
        seed = self.trainer.get("seed", 42)
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ValueError(f"trainer.seed: expected a whole number, got {seed!r}")
        known(self.carrier, CARRIERS, "carrier")
        known(self.credit, CREDITS, "credit rule")
        check_slots(self.credit, [auxiliary.settings for auxiliary in self.auxiliaries])
        return self

    @property
    def seed(self) -> int:
        """The run's seed: TRL's own field."""
        return self.trainer.get("seed", 42)

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
        lines = [_explain(fault) for fault in error.errors()]
        raise ValueError(f"{source}: " + "; ".join(lines)) from None


def nearest(word: str, valid: Sequence[str]) -> str:
    """A hint naming the nearest valid word, or all of them if none is near."""
    return did_you_mean(word, valid) or f"; valid: {', '.join(valid)}"


def _explain(fault: Any) -> str:
    path = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        section: Any = Recipe
        for part in fault["loc"][:-1]:
            section = _child(section, part)
        valid = [f.alias or name for name, f in section.model_fields.items()] if section else []
        return f"unknown key {path!r}{nearest(str(fault['loc'][-1]), valid)}"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{path}: {message}" if path else message


def _child(section: Any, part: object) -> Any:
    if isinstance(part, int):
        return section
    annotation = section.model_fields[part].annotation if section and part in section.model_fields else None
    for candidate in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
