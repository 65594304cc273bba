"""Step checks against solutions written by hand; no data set is needed."""

import pytest

from mel.tasks.puzzles.boards import as_shown, car_moved, first_wrong_car, first_wrong_direction, first_wrong_disk
from mel.tasks.puzzles.entry import Entry
from mel.tasks.puzzles.strings import first_wrong_counts, first_wrong_string, first_wrong_word
from mel.tasks.puzzles.sums import (
    can_reach,
    first_wrong_expression,
    first_wrong_operation,
    first_wrong_total,
    value_of,
)


def entry(answer: str = "", **metadata: object) -> Entry:
    return Entry(question="", answer=answer, metadata=metadata)


STRING = entry(states=["abab", "cab", "ca", ""])


@pytest.mark.parametrize(
    ("steps", "wrong"),
    [
        (["cab", "ca", "empty"], None),
        (["cab", "ca", ""], None),
        (["cab", "cb", "b"], 2),
        (["abc", "ca", "empty"], 1),
        (["cab", "ca"], 3),
        (["cab", "ca", "empty", "a"], 4),
    ],
)
def test_string_manipulation(steps, wrong):
    assert first_wrong_string(STRING, steps) == wrong


# One machine A becomes two X and one Y; then one X and one Y become one Z.
COUNTS = entry(states=[[1, 0, 0, 0, 0, 0], [0, 0, 0, 2, 1, 0], [0, 0, 0, 1, 0, 1]])


@pytest.mark.parametrize(
    ("steps", "wrong"),
    [
        (["0 0 0 2 1 0", "0 0 0 1 0 1"], None),
        (["A 0, B 0, C 0, X 2, Y 1, Z 0", "0 0 0 1 0 1"], None),
        (["0 0 0 2 1 0", "0 0 0 1 1 1"], 2),
        (["0 0 0 1 2 0", "0 0 0 1 0 1"], 1),
        (["0 0 0 2 1 0"], 2),
    ],
)
def test_string_splitting_and_synthesis(steps, wrong):
    assert first_wrong_counts(COUNTS, steps) == wrong


@pytest.mark.parametrize(
    ("steps", "wrong"),
    [
        (["from flim follows zost", "from zost follows brin"], None),
        (["zost", "so brin"], None),
        (["from flim follows brin", "from brin follows zost"], 1),
        # The word is right, but not because of that one.
        (["from flim follows zost", "from flim follows brin"], 2),
        (["from flim follows zost"], 2),
        (["from flim follows zost", "from zost follows brin", "from brin follows klob"], 3),
    ],
)
def test_modus_ponens(steps, wrong):
    assert first_wrong_word(entry(chain=["flim", "zost", "brin"]), steps) == wrong


@pytest.mark.parametrize(
    ("steps", "wrong"),
    [
        (["12 - 5 = 7", "7 + -3 = 4"], None),
        (["12 - 5 = 7", "4"], None),
        (["12 - 5 = 8", "8 - 3 = 5"], 1),
        (["12 - 5 = 7", "7 + 3 = 10"], 2),
        # The total is right, the sum beside it is not.
        (["12 - 4 = 7", "4"], 1),
        (["12 - 5 = 7"], 2),
        (["12 - 5 = 7", "7 - 3 = 4", "4 + 0 = 4"], 3),
    ],
)
def test_chain_sum(steps, wrong):
    assert first_wrong_total(entry(expression="12 - 5 + -3"), steps) == wrong


def test_a_chain_sum_may_begin_below_zero():
    assert first_wrong_total(entry(expression="-12 + 5"), ["-12 + 5 = -7"]) is None


@pytest.mark.parametrize(
    ("steps", "wrong"),
    [
        # 3 x (4 - 7) + 10 / 5 = -9 + 2 = -7
        (["3 * (-3) + 10 / 5", "-9 + 10 / 5", "-9 + 2", "-7"], None),
        (["3 * -3 + 2", "-7"], None),
        (["3 * 3 + 10 / 5", "11"], 1),
        (["3 * -3 + 10 / 5", "-9 + 5"], 2),
        (["3 * -3 + 10 / 5"], 2),
        (["__import__('os').getcwd()"], 1),
    ],
)
def test_basic_arithmetic(steps, wrong):
    assert first_wrong_expression(entry(answer="-7"), steps) == wrong


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("7 / 2", 3),
        ("-7 / 2", -4),
        ("2 ** 9", None),
        ("1 / 0", None),
        ("True + 1", None),
        ("a + 1", None),
        ("(" * 300, None),
    ],
)
def test_expressions_are_evaluated_without_running_anything(expression, value):
    assert value_of(expression) == value


@pytest.mark.parametrize(
    ("steps", "wrong"),
    [
        (["10 * 3 = 30", "30 + 2 = 32"], None),
        (["10 x 3 = 30", "2 + 30 = 32"], None),
        (["10 * 3 = 33", "33 - 2 = 31"], 1),
        (["10 * 4 = 40", "40 - 8 = 32"], 1),
        # It holds, but 20 and 3 make 23, 17, 60 or less than 7.
        (["10 * 2 = 20", "20 * 3 = 60"], 1),
        (["10 * 3 = 30", "30 - 2 = 28"], 2),
        (["10 * 3 = 30", "10 + 2 = 12"], 2),
        (["10 * 3 = 30"], 2),
        (["I try 10 and 3"], 1),
    ],
)
def test_countdown(steps, wrong):
    assert first_wrong_operation(entry(numbers=[2, 3, 10], target=32), steps) == wrong


def test_fractions_on_the_way_count():
    from fractions import Fraction

    # 1 / 3 x 6 = 2, while 24 of 1, 5, 5, 5 needs 5 x (5 - 1 / 5).
    assert first_wrong_operation(entry(numbers=[1, 3, 6], target=2), ["1 / 3 = 1/3", "1/3 * 6 = 2"]) is None
    assert can_reach(tuple(map(Fraction, (1, 5, 5, 5))), Fraction(24))
    assert not can_reach(tuple(map(Fraction, (1, 1, 1))), Fraction(24))


HANOI = entry(num_disks=2, num_pegs=3, start_peg=1, target_peg=3, solution_length=3)


def moves(*words: str) -> list[str]:
    """``1 1 2``: disk 1 from peg 1 to peg 2."""
    return ["Move disk {} from Peg {} to Peg {}".format(*w.split()) for w in words]


@pytest.mark.parametrize(
    ("steps", "wrong"),
    [
        (moves("1 1 2", "2 1 3", "1 2 3"), None),
        # The larger disk is below the smaller one.
        (moves("2 1 3", "1 1 3"), 1),
        # A larger disk on a smaller one.
        (moves("1 1 2", "2 1 2"), 2),
        # It is not on that peg.
        (moves("1 1 2", "2 1 3", "1 1 3"), 3),
        # Allowed, but then three moves are not enough.
        (moves("1 1 3", "1 3 2", "2 1 3", "1 2 3"), 1),
        (moves("1 1 2", "2 1 3"), 3),
        (["disk 1 goes away"], 1),
        (moves("1 1 9"), 1),
    ],
)
def test_tower_of_hanoi(steps, wrong):
    assert first_wrong_disk(HANOI, steps) == wrong


MAZE = entry(grid=["#####", "#S..#", "#.#.#", "#..G#", "#####"], start="S", goal="G", wall="#")


@pytest.mark.parametrize(
    ("steps", "wrong"),
    [
        (["right", "right", "down", "down"], None),
        (["Down, to the passage", "down", "right", "right"], None),
        (["right", "down"], 2),
        (["up"], 1),
        # Back again: it is a passage, and leads away.
        (["right", "left", "down", "down", "right", "right"], 2),
        (["right", "right", "down"], 4),
        (["north"], 1),
    ],
)
def test_maze(steps, wrong):
    assert first_wrong_direction(MAZE, steps) == wrong


# The red car AA is in the third row; B, of two cells, stands upright in its way.
BOARD = "oooooooooBooAAoBoooooooooooooooooooo"


@pytest.mark.parametrize(
    ("steps", "wrong"),
    [
        (["B+1", "B+1", "A+4"], None),
        (["B+2", "A+4"], None),
        (["A+4"], 1),
        (["B-1", "B-1"], 2),
        (["B+2", "A+5"], 2),
        (["B+2"], 2),
        (["C+1"], 1),
        (["the red car goes"], 1),
    ],
)
def test_rush_hour(steps, wrong):
    assert first_wrong_car(entry(board_config=BOARD), steps) == wrong


def test_a_car_does_not_leave_its_row_at_the_edge():
    assert car_moved("o" * 10 + "AA" + "o" * 24, "A", 1) is None
    assert car_moved("o" * 12 + "AA" + "o" * 22, "A", -1) is None


def test_cars_are_called_as_the_question_shows_them():
    # The letters of the data set skip B and D here; in the question they do not.
    gaps = "oooooooooCooAAoCoooooooooooEEooooooo"
    assert as_shown(gaps) == "oooooooooBooAAoBoooooooooooCCooooooo"
    assert first_wrong_car(entry(board_config=gaps), ["C-1", "B-1"]) == 3
    assert first_wrong_car(entry(board_config=gaps), ["E-1"]) == 1
