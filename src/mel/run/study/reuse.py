"""Finished runs of other studies, which a study with the same recipes and seeds need not train again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mel.config import Recipe, load_recipe
from mel.record.run_directory import RECIPE, RunDirectory


@dataclass(frozen=True, slots=True)
class FinishedRuns:
    """Run directories and the whole recipe, seed included, that each was trained by."""

    recipes: tuple[tuple[Path, dict[str, Any]], ...] = ()

    @staticmethod
    def of(directories: Sequence[Path]) -> FinishedRuns:
        """The finished runs that lie in these directories.

        Raises:
            ValueError: a directory without any, or a recipe that this version cannot read.
        """
        found = [(directory, path) for directory in directories for path in _finished(directory)]
        empty = next((str(d) for d in directories if d not in [directory for directory, _ in found]), None)
        if empty is not None:
            raise ValueError(f"--reuse: expected a directory that holds finished runs, as a study's; got {empty}")
        return FinishedRuns(tuple((path, load_recipe(str(path / RECIPE)).resolved()) for _, path in found))

    def by(self, recipe: Recipe) -> Path | None:
        """The first of them that exactly this recipe trained; None if there is none."""
        asked = recipe.resolved()
        return next((path for path, there in self.recipes if there == asked), None)


def _finished(directory: Path) -> list[Path]:
    paths = sorted(path.parent for path in directory.glob(f"*/{RECIPE}"))
    return [path for path in paths if RunDirectory.open(path).status.state == "finished"]
