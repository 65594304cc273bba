"""The cells of a study: one run for each arm, combination of axis values and seed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mel import recipe_yaml
from mel.config import Recipe, load_recipe
from mel.run.study.files import Study

Point = tuple[tuple[str, Any], ...]
"""A value for every axis of a study."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One run of a study.

    Args:
        recipe: the name, or the file.
        changes: of the recipe, as `--set` takes them.
    """

    arm: str
    point: Point
    seed: int
    recipe: str
    changes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Arm, axis values and seed as one word: the run directory's name."""
        return "-".join([self.arm, *(f"{key.rpartition('.')[2]}_{_word(v)}" for key, v in self.point), f"s{self.seed}"])

    def load(self) -> Recipe:
        """The recipe with the changes of this cell."""
        return load_recipe(self.recipe, self.changes)


def cells_of(study: Study, *, beside: Path, changes: tuple[str, ...] = ()) -> list[Cell]:
    """Every cell of a study, seed by seed, so that a study that is cut short holds whole comparisons.

    The untrained policy is the same in every arm and seed: only one cell of each combination evaluates it. That is one
    of the arm that stands first in the file and not of the baseline, so that the same runs can be compared to another.

    Args:
        beside: directory of the study file, where its recipe files are.
        changes: of every cell, after those of the study.

    Raises:
        ValueError: two cells would have the same directory.
    """
    cells = []
    evaluates_before = next(iter(study.arms))
    for seed in study.seeds:
        for point in points_of(study):
            for arm in study.order:
                is_first = arm == evaluates_before and seed == study.seeds[0]
                table = {**study.set, **study.arms[arm].set, **_changes(study, point), "trainer.seed": seed}
                table.setdefault("evaluation.before", is_first)
                own = tuple(f"{key}={recipe_yaml.dump_inline(value)}" for key, value in table.items())
                recipe = _recipe_path(study.arms[arm].recipe, beside)
                cells.append(Cell(arm=arm, point=point, seed=seed, recipe=recipe, changes=(*own, *changes)))
    names = [cell.name for cell in cells]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{study.name}: axes: expected values that differ in letters or digits, got {twice!r} twice")
    return cells


def points_of(study: Study) -> Iterator[Point]:
    """Every combination of axis values; one empty combination if there is no axis."""
    for values in itertools.product(*study.axes.values()):
        yield tuple(zip(study.axes, values, strict=True))


def _changes(study: Study, point: Point) -> dict[str, Any]:
    """Recipe key -> value: a named value stands for several."""
    changes: dict[str, Any] = {}
    for axis, value in point:
        values = study.axes[axis]
        changes |= values[value] if isinstance(values, dict) else {axis: value}
    return changes


def _recipe_path(recipe: str, beside: Path) -> str:
    file = beside / recipe
    return str(file) if file.is_file() else recipe


def _word(value: Any) -> str:
    return re.sub(r"[^\w.+]+", "_", str(value)).strip("_") or "empty"
