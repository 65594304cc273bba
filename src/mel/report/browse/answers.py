"""What the page of `mel browse` asks for, as values that JSON can hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mel.record import ExperienceStore, RunDirectory
from mel.record.library import Library, Query
from mel.record.run_directory import EXPERIENCES
from mel.report.arms import label_of, seed_of
from mel.report.browser import compact, listed_columns

MOST = 50
"""Experiences in one answer."""


class Answers:
    """The experiences of one run; belongs to the thread that made it.

    Raises:
        ValueError: no run directory, or its store is damaged.
    """

    def __init__(self, path: Path) -> None:
        with RunDirectory.open(path) as run:
            name, seed = str(run.recipe.get("name") or path.name), seed_of(run.recipe)
        self.label, self.place = label_of(name, seed), path.resolve()
        self._usual_directory = name if seed is None else f"{name}-s{seed}"
        self.library = Library(ExperienceStore.open(path / EXPERIENCES))

    @property
    def title(self) -> str:
        """What tells the run from any other, with what differs most first, since a tab shows but the beginning.

        In a study the directory is called after the cell: its arm, its values of the axes and its seed.
        """
        own = [] if self.place.name == self._usual_directory else [self.place.name]
        return " · ".join([*own, self.label, self.place.parent.name])

    @property
    def total(self) -> int:
        """Experiences in all."""
        return self.library.find(Query(), limit=0).total

    def about(self) -> dict[str, Any]:
        """What the page must know to show its filters."""
        return {
            "runs": [self.label],
            "listed": listed_columns(),
            "verdicts": [*self.library.counts("reason").items()],
            "concepts": [*self.library.counts("concept").items()],
            "total": self.total,
        }

    def find(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """One page of matches with their texts in part.

        Raises:
            ValueError: a step, an offset or a limit that is no number.
        """
        query = Query(
            words=asked.get("q", ""),
            verdict=asked.get("verdict", ""),
            concept=asked.get("concept", ""),
            step=_number(asked, "step") if asked.get("step") else None,
            problem=asked.get("problem", ""),
        )
        limit = min(MOST, _number(asked, "limit", MOST))
        found = self.library.find(query, limit=limit, offset=_number(asked, "offset"))
        items = [compact(0, self.library.store.show(number)) for number in found.ids]
        return {"total": found.total, "items": items}

    def show(self, number: str) -> dict[str, Any]:
        """One experience with its texts as a whole.

        Raises:
            ValueError: there is none of that number.
        """
        return compact(0, self.library.store.show(_number({"id": number}, "id")), whole=True)


def _number(asked: Mapping[str, str], name: str, default: int = 0) -> int:
    text = asked.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise ValueError(f"{name}: expected a whole number, got {text[:40]!r}")
    return int(text)
