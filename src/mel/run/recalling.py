"""What auxiliaries ask of the experiences of earlier runs: their stores are opened here and never by a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mel.config import Recipe
from mel.ports import Recall
from mel.record.run_directory import EXPERIENCES
from mel.record.search import Memory


@dataclass(frozen=True, kw_only=True, slots=True)
class Memories:
    """Fills `mel.ports.Recall` over the kept experiences of these runs, by their directories."""

    of: Mapping[str, Memory]

    def __call__(self, run: str, problem: str, k: int) -> Sequence[str]:
        """At most k heuristics of that run, all different, about the problems most like this one first."""
        return [note.heuristic or "" for note in self.of[run].notes(problem, k)]


def recall_of(recipe: Recipe) -> Recall | None:
    """The experiences of every run that an auxiliary of the recipe names; None if none names any.

    Raises:
        ValueError: no run with kept experiences there.
    """
    named = dict.fromkeys(run for auxiliary in recipe.auxiliaries if (run := auxiliary.settings.recalls))
    return Memories(of={run: Memory.open(Path(run).expanduser() / EXPERIENCES) for run in named}) if named else None
