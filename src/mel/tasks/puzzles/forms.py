"""How the steps of a data set are written, and who knows which one is wrong first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mel.tasks.puzzles.boards import first_wrong_car, first_wrong_direction, first_wrong_disk
from mel.tasks.puzzles.entry import Entry
from mel.tasks.puzzles.strings import first_wrong_counts, first_wrong_string, first_wrong_word
from mel.tasks.puzzles.sums import first_wrong_expression, first_wrong_operation, first_wrong_total


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """The steps of one data set.

    Args:
        says: what a step holds, told with every question.
        first_wrong: number of the first wrong step, None if there is none; a step that is missing at the end or
            one too many counts as wrong.
        is_answer: the steps are the answer, and what stands behind `Answer:` does not count.
    """

    says: str
    first_wrong: Callable[[Entry, Sequence[str]], int | None]
    is_answer: bool = False


_COUNTS = "A step holds the counts after one use of one rule, in the order above, such as `Step 1: {}`."
_MOVES = "The steps are the answer: end with the line `Answer: as above`."

FORMS: Mapping[str, Form] = {
    "basic_arithmetic": Form(
        says="A step holds what is left of the expression, such as `Step 1: 3 * (4 - 7)`; the last one is a number. "
        "Where a division leaves a remainder, round down.",
        first_wrong=first_wrong_expression,
    ),
    "chain_sum": Form(
        says="A step adds or subtracts the next number, such as `Step 1: 12 - 5 = 7`.",
        first_wrong=first_wrong_total,
    ),
    "countdown": Form(
        says="A step takes two of the numbers that are left and puts the result in their place, such as "
        "`Step 1: 75 - 5 = 70`. The answer is the whole expression.",
        first_wrong=first_wrong_operation,
    ),
    "maze": Form(
        says="A step is one step of a shortest way: up, down, left or right, such as `Step 1: left`. "
        "The answer is their number.",
        first_wrong=first_wrong_direction,
    ),
    "modus_ponens": Form(
        says="A step says which word follows from which, such as `Step 1: from flim follows zost`.",
        first_wrong=first_wrong_word,
    ),
    "rush_hour": Form(
        says=f"A step is one move, such as `Step 1: F+1`. {_MOVES}", first_wrong=first_wrong_car, is_answer=True
    ),
    "string_manipulation": Form(
        says="A step is the string after one rule was applied, such as `Step 1: abca`. "
        "Write `empty` for an empty string.",
        first_wrong=first_wrong_string,
    ),
    "string_splitting": Form(says=_COUNTS.format("1 0 1 5 4 3"), first_wrong=first_wrong_counts),
    "string_synthesis": Form(says=_COUNTS.format("1 0 3 0 2 0 0 0 1"), first_wrong=first_wrong_counts),
    "tower_of_hanoi": Form(
        says=f"A step is one move, such as `Step 1: Move disk 1 from Peg 1 to Peg 3`. {_MOVES}",
        first_wrong=first_wrong_disk,
        is_answer=True,
    ),
}
"""Data set -> its form. The steps of all others can be anything, and nobody knows which one is wrong."""
