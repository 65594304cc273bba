"""Finished runs of other studies, which a study with the same recipes and seeds need not train again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mel.config import Recipe, load_recipe
from mel.record.run_directory import RECIPE, RunDirectory

VALUES = "study.json"
"""File of a study's results for programs."""


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
        found = {directory: _finished(directory) for directory in directories}
        # A study all of whose runs lie in other studies has its results and nothing else.
        empty = next((str(d) for d, paths in found.items() if not paths and not (d / VALUES).is_file()), None)
        if empty is not None:
            raise ValueError(f"--reuse: expected a directory that holds finished runs, as a study's; got {empty}")
        paths = [path for of_one in found.values() for path in of_one]
        return FinishedRuns(tuple((path, load_recipe(str(path / RECIPE)).resolved()) for path in paths))

    def by(self, recipe: Recipe) -> Path | None:
        """The first of them that exactly this recipe trained; None if there is none."""
        asked = recipe.resolved()
        return next((path for path, there in self.recipes if there == asked), None)


def _finished(directory: Path) -> list[Path]:
    paths = sorted(path.parent for path in directory.glob(f"*/{RECIPE}"))
    return [path for path in paths if RunDirectory.open(path).status.state == "finished"]
