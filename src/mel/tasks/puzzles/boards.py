"""Steps of puzzles that move things: each must be allowed, and must not lead away where the shortest way counts."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from mel.tasks.puzzles.entry import Entry

Cell = tuple[int, int]
Towers = tuple[int, ...]
"""Disk, from the smallest -> the peg that it is on."""

MOST_TOWERS = 70_000
"""States of a tower of Hanoi up to which the shortest ways are counted out: eight disks on four pegs."""

_HANOI = re.compile(r"move\s+disk\s+(\d+)\s+from\s+peg\s+(\d+)\s+to\s+peg\s+(\d+)", re.IGNORECASE)
_MOVES: Mapping[str, Cell] = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
_CAR = re.compile(r"([A-Z])\s*([-+])\s*(\d+)")

BOARD = 6
"""Rows and columns of a rush hour board."""


def first_wrong_disk(entry: Entry, steps: Sequence[str]) -> int | None:
    """Of the tower of Hanoi: a step is a move that is allowed and leaves no more moves to make than there may be.

    Above `MOST_TOWERS` states only forbidden moves are found.
    """
    at = entry.metadata
    disks, pegs, goal, most = at["num_disks"], at["num_pegs"], at["target_peg"], at["solution_length"]
    to_go = _moves_to_go(disks, pegs, goal) if pegs**disks <= MOST_TOWERS else None
    state: Towers = (at["start_peg"],) * disks
    for number, step in enumerate(steps, 1):
        found = _HANOI.search(step)
        moved = _moved(state, *map(int, found.groups()), pegs=pegs) if found else None
        if moved is None or (to_go is not None and number + to_go[moved] > most):
            return number
        state = moved
    return None if state == (goal,) * disks else len(steps) + 1


def _moved(state: Towers, disk: int, source: int, target: int, *, pegs: int) -> Towers | None:
    """The state after a move, None if it is not allowed: smaller disks must be on neither peg."""
    is_there = 1 <= disk <= len(state) and state[disk - 1] == source != target and 1 <= target <= pegs
    if not is_there or any(peg in (source, target) for peg in state[: disk - 1]):
        return None
    return (*state[: disk - 1], target, *state[disk:])


@lru_cache(maxsize=16)
def _moves_to_go(disks: int, pegs: int, goal: int) -> dict[Towers, int]:
    """Every state -> the fewest moves from it to the goal."""
    end = (goal,) * disks
    found, queue = {end: 0}, deque([end])
    while queue:
        state = queue.popleft()
        for disk in range(1, disks + 1):
            for target in range(1, pegs + 1):
                moved = _moved(state, disk, state[disk - 1], target, pegs=pegs)
                if moved is not None and moved not in found:
                    found[moved] = found[state] + 1
                    queue.append(moved)
    return found


def first_wrong_direction(entry: Entry, steps: Sequence[str]) -> int | None:
    """Of a maze: a step begins with up, down, left or right, and must come nearer to the goal by one."""
    grid: list[str] = ["".join(row) for row in entry.metadata["grid"]]
    start, goal, wall = (entry.metadata[name] for name in ("start", "goal", "wall"))
    to_go = _steps_to_go(grid, _find(grid, goal), wall)
    cell = _find(grid, start)
    for number, step in enumerate(steps, 1):
        dr, dc = _MOVES.get(re.split(r"\W", step.strip().lower(), maxsplit=1)[0], (0, 0))
        moved = cell[0] + dr, cell[1] + dc
        if to_go.get(moved) != to_go[cell] - 1:
            return number
        cell = moved
    return None if to_go[cell] == 0 else len(steps) + 1


def _find(grid: Sequence[str], mark: str) -> Cell:
    return next((r, row.index(mark)) for r, row in enumerate(grid) if mark in row)


def _steps_to_go(grid: Sequence[str], goal: Cell, wall: str) -> dict[Cell, int]:
    found, queue = {goal: 0}, deque([goal])
    while queue:
        r, c = queue.popleft()
        for dr, dc in _MOVES.values():
            cell = r + dr, c + dc
            is_inside = 0 <= cell[0] < len(grid) and 0 <= cell[1] < len(grid[0])
            if is_inside and grid[cell[0]][cell[1]] != wall and cell not in found:
                found[cell] = found[r, c] + 1
                queue.append(cell)
    return found


def first_wrong_car(entry: Entry, steps: Sequence[str]) -> int | None:
    """Of rush hour: a step is a move such as `F+2`, which must be possible in full.

    Any way out is right, so that no possible move is wrong; where all are possible and the red car is not out, a step
    is missing.
    """
    board = as_shown(entry.metadata["board_config"])
    for number, step in enumerate(steps, 1):
        found = _CAR.search(step)
        moved = car_moved(board, found[1], int(found[2] + found[3])) if found else None
        if moved is None:
            return number
        board = moved
    row = 2 * BOARD
    return None if board[row + BOARD - 1] == "A" else len(steps) + 1


def as_shown(board: str) -> str:
    """The board with the letters that the question shows: the data set's may have gaps, and the question has none."""
    cars = sorted(set(board) - {"o", "x"})
    return "".join(chr(ord("A") + cars.index(label)) if label in cars else label for label in board)


def car_moved(board: str, car: str, by: int) -> str | None:
    """The board with a car moved, by positive numbers right or down; None if it cannot be."""
    cells = [i for i, label in enumerate(board) if label == car]
    if len(cells) < 2 or by == 0 or car == "x":
        return None
    stride = cells[1] - cells[0]
    for _ in range(abs(by)):
        moved = _one_further(cells, stride if by > 0 else -stride)
        if moved is None or any(board[i] not in ("o", car) for i in moved):
            return None
        cells = moved
    taken = ["o" if label == car else label for label in board]
    for i in cells:
        taken[i] = car
    return "".join(taken)


def _one_further(cells: Sequence[int], by: int) -> list[int] | None:
    moved = [i + by for i in cells]
    is_on_board = all(0 <= i < BOARD * BOARD for i in moved)
    is_in_row = abs(by) != 1 or all(i // BOARD == cells[0] // BOARD for i in moved)
    return moved if is_on_board and is_in_row else None


def car_moves(board: str) -> Iterator[tuple[str, str]]:
    """(move, board after it) of every possible move by one cell."""
    for car in sorted(set(board) - {"o", "x"}):
        for by in (1, -1):
            moved = car_moved(board, car, by)
            if moved is not None:
                yield f"{car}{by:+d}", moved
