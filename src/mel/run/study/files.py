"""Study files: which recipes are compared, with which seeds and changes (docs/studies.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from mel import recipe_yaml
from mel.config import PlainWord, Section
from mel.naming import known
from mel.value_check import faults

Seeds = Annotated[list[int], Field(min_length=1)]
Values = Annotated[list[Any], Field(min_length=1)]
Axis = Values | Annotated[dict[str | int, dict[str, Any]], Field(min_length=1)]
"""Values of one recipe key; or name -> recipe keys that change together."""


class StudyArm(Section):
    """One of the things compared.

    Args:
        recipe: its name, or a file beside the study.
        set: recipe keys with dots -> values, as `mel train --set` takes them.
    """

    recipe: str
    set: dict[str, Any] = Field(default_factory=dict)


class Short(Section):
    """What `mel study --short` changes, to see within minutes that a study runs; no result comes of it."""

    seeds: Seeds | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    axes: dict[str, Axis] | None = None


class Study(Section):
    """A study.

    Args:
        question: what it is made to find out, in one sentence.
        arms: name -> recipe, or recipe and changes. The first is the baseline unless `baseline` names another.
        seeds: every arm is trained with each; differences are paired by them.
        set: changes of every arm.
        axes: recipe key -> values, or a word -> named changes; every combination is a comparison of its own.
        target: an accuracy of greedy answers on the first suite; what each arm paid to reach it is reported.
    """

    name: PlainWord
    question: str = ""
    arms: dict[PlainWord, StudyArm] = Field(min_length=1)
    baseline: str = ""
    seeds: Seeds = Field(default_factory=lambda: [0])
    set: dict[str, Any] = Field(default_factory=dict)
    axes: dict[str, Axis] = Field(default_factory=dict)
    target: float | None = Field(default=None, gt=0.0, lt=1.0)
    short: Short = Short()

    @model_validator(mode="before")
    @classmethod
    def _a_name_is_an_arm(cls, values: Any) -> Any:
        arms = values.get("arms") if isinstance(values, dict) else None
        if not isinstance(arms, dict):
            return values
        return {**values, "arms": {n: {"recipe": arm} if isinstance(arm, str) else arm for n, arm in arms.items()}}

    @model_validator(mode="after")
    def _is_paired(self) -> Self:
        known(self.first, self.arms, "baseline")
        for seeds in (self.seeds, self.short.seeds or []):
            if len(set(seeds)) < len(seeds):
                raise ValueError(f"seeds: expected each once, got {seeds}")
        return self

    @property
    def first(self) -> str:
        """The arm that the others are compared to."""
        return self.baseline or next(iter(self.arms))

    @property
    def order(self) -> list[str]:
        """The arms, the baseline first."""
        return [self.first, *(name for name in self.arms if name != self.first)]

    def shortened(self) -> Study:
        """The short form; its name says that it is one."""
        axes = self.axes if self.short.axes is None else self.short.axes
        changes = {**self.set, **self.short.set}
        seeds = self.short.seeds or self.seeds[:1]
        return self.model_copy(update={"name": f"{self.name}-short", "seeds": seeds, "set": changes, "axes": axes})


def load_study(path: str | Path) -> Study:
    """The study in that file.

    Raises:
        ValueError: no such file, not YAML, an unknown key or a bad value: one line with the file and the key.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"study: expected a YAML file that names arms and seeds (docs/studies.md), got {str(path)!r}")
    try:
        table = recipe_yaml.load(file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: expected UTF-8 text, got byte {error.object[error.start]:#04x}") from None
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    if not isinstance(table, dict):
        raise ValueError(f"{file}: expected a mapping with the key arms, got {type(table).__name__}")
    table = {"name": file.stem, **table}
    try:
        return Study.model_validate(table)
    except ValidationError as error:
        raise ValueError(f"{file}: " + "; ".join(faults(error, Study.model_json_schema(), table))) from None
