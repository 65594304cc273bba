"""How far the cells of a study are: each state in words, with what to do about those that are not finished."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mel.record.run_directory import INTERRUPTED

FINISHED = "finished"

NOT_BEGUN = "not begun"
"""What a cell is called that has no run directory yet."""

NEXT: Mapping[str, str] = {
    NOT_BEGUN: "trains {}",
    "failed": "tries {} again",
    INTERRUPTED: "continues {} from the last checkpoint",
    "stopped": "continues {} from the last checkpoint",
}
"""State -> what the study's command does with such cells. The others are being trained."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CellState:
    """One run of a study and how far it is.

    Args:
        point: (recipe key, value) of every axis.
        state: of its run directory, or `not begun`.
        message: what a failed one ended with.
        step, steps: optimizer steps done, and how many there will be; None if the recipe does not say.
    """

    arm: str
    point: tuple[tuple[str, Any], ...]
    seed: int
    state: str
    message: str = ""
    step: int = 0
    steps: int | None = None

    @property
    def where(self) -> str:
        """The axis values for a person; empty if the study has no axis."""
        return ", ".join(f"{key} = {value}" for key, value in self.point)

    @property
    def name(self) -> str:
        """For a person: arm, axis values and seed."""
        return ", ".join(part for part in (self.arm, self.where, f"seed {self.seed}") if part)

    @property
    def details(self) -> str:
        """The name, the step if it has begun, and the message if there is one."""
        at = f", step {self.step}{f' of {self.steps}' if self.steps else ''}" if self.step else ""
        return f"{self.name}{at}{f': {self.message}' if self.message else ''}"

    def __hash__(self) -> int:
        return hash((self.arm, repr(self.point), self.seed))


@dataclass(frozen=True, kw_only=True, slots=True)
class Unfinished:
    """The cells of a study that are in one state other than `finished`.

    Args:
        next: what the study's command does with them; empty if nothing need be done.
        cells: for a person; those that were not begun are named together.
    """

    state: str
    count: int
    next: str
    cells: tuple[str, ...]

    def heading(self, command: str) -> str:
        """How many are in the state, and what to do: `4 not begun: mel study x.yaml trains them`."""
        return f"{self.count} {self.state}" + (f": {command} {self.next}" if self.next and command else "")


def unfinished(cells: Sequence[CellState]) -> list[Unfinished]:
    """The cells that are not finished, by state, in the order in which the states occur."""
    found: dict[str, list[CellState]] = {}
    for cell in cells:
        if cell.state != FINISHED:
            found.setdefault(cell.state, []).append(cell)
    return [
        Unfinished(
            state=state,
            count=len(of_state),
            next=NEXT.get(state, "").format("it" if len(of_state) == 1 else "them"),
            cells=tuple(_together(of_state) if state == NOT_BEGUN else (cell.details for cell in of_state)),
        )
        for state, of_state in found.items()
    ]


def _together(cells: Sequence[CellState]) -> list[str]:
    """A line for all arms of the same seeds; combinations of axis values that lack the same share it."""
    seeds: dict[tuple[str, str], list[int]] = {}
    for cell in cells:
        seeds.setdefault((cell.where, cell.arm), []).append(cell.seed)
    lines: dict[str, dict[str, list[str]]] = {}
    for (where, arm), of_arm in seeds.items():
        lines.setdefault(where, {}).setdefault(_seeds(of_arm), []).append(arm)
    places: dict[str, list[str]] = {}
    for where, by_seeds in lines.items():
        for text, arms in by_seeds.items():
            places.setdefault(f"{_listed(arms)}, {text}", []).append(where)
    return [f"{_listed(where)}: {text}" if any(where) else text for text, where in places.items()]


def _seeds(seeds: Sequence[int]) -> str:
    low, high = min(seeds), max(seeds)
    if len(seeds) == 1:
        return f"seed {low}"
    return f"seeds {low} to {high}" if len(seeds) == high - low + 1 > 2 else f"seeds {_listed(map(str, sorted(seeds)))}"


def _listed(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
