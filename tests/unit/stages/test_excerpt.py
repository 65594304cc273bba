"""What is shown of a pair that is too long: in which order steps go, and what always stays."""

import pytest
from stories import RIGHT, TASK, WRONG_ANSWER_ONLY, WRONG_AT_1, WRONG_AT_2, WRONG_AT_3, pair

from mel.stages.excerpt import excerpts

STOPS_EARLY = "1) finds plus 3 = 53 2) sorts same 2 = 53 answer 53"
LONGER = "1) finds plus 3 = 53 2) sorts same 2 = 53 3) loses minus 5 = 48 4) finds plus 3 = 51 5) sorts same 2 = 51"

Ends = tuple[tuple[int, int], tuple[int, int]]


def shown(wrong: str) -> list[Ends]:
    """(first, last) step of y+ and of y-, for each excerpt."""
    return [((e.right[0], e.right[-1]), (e.wrong[0], e.wrong[-1])) for e in excerpts(pair(wrong))]


def test_the_first_excerpt_is_the_whole_pair() -> None:
    assert excerpts(pair(WRONG_AT_2))[0] == pair(WRONG_AT_2).whole


def test_the_shared_beginning_goes_step_by_step_until_the_first_that_differs() -> None:
    assert shown(WRONG_AT_3) == [((1, 3), (1, 3)), ((2, 3), (2, 3)), ((3, 3), (3, 3))]


def test_without_a_shared_beginning_the_longer_solution_loses_its_last_step() -> None:
    # `finds minus` is a letter longer than `finds plus`, so y- goes first, and first again after y+ had its turn.
    assert shown(WRONG_AT_1) == [
        ((1, 3), (1, 3)),
        ((1, 3), (1, 2)),
        ((1, 2), (1, 2)),
        ((1, 2), (1, 1)),
        ((1, 1), (1, 1)),
    ]


def test_last_steps_go_after_the_whole_shared_beginning() -> None:
    # Behind step 1 `sorts minus` is a letter longer than `sorts same`.
    assert shown(WRONG_AT_2) == [((1, 3), (1, 3)), ((2, 3), (2, 3)), ((2, 3), (2, 2)), ((2, 2), (2, 2))]


def test_of_solutions_of_one_length_the_right_one_goes_first() -> None:
    equal = "1) finds same 3 = 50 2) sorts same 2 = 50 3) loses minus 5 = 45 answer 45"
    assert len(equal) == len(RIGHT)
    assert shown(equal)[:3] == [((1, 3), (1, 3)), ((1, 2), (1, 3)), ((1, 2), (1, 2))]


def test_a_solution_that_is_the_beginning_of_the_other_keeps_its_last_step_and_so_does_the_other() -> None:
    # y+ first differs by having a step 3.
    assert shown(STOPS_EARLY) == [((1, 3), (1, 2)), ((2, 3), (2, 2))]
    # y- first differs by having a step 4; step 5 may go.
    assert shown(LONGER) == [((1, 3), (1, 5)), ((2, 3), (2, 5)), ((3, 3), (3, 5)), ((3, 3), (3, 4))]


def test_solutions_that_read_the_same_keep_their_last_step() -> None:
    assert shown(WRONG_ANSWER_ONLY)[-1] == ((3, 3), (3, 3))


@pytest.mark.parametrize("wrong", [WRONG_AT_1, WRONG_AT_2, WRONG_AT_3, WRONG_ANSWER_ONLY, STOPS_EARLY, LONGER])
def test_every_excerpt_shows_less_than_the_one_before_and_something_of_both(wrong: str) -> None:
    found = excerpts(pair(wrong))
    sizes = [len(e.right) + len(e.wrong) for e in found]
    assert sizes == sorted(set(sizes), reverse=True)
    assert all(e.right and e.wrong for e in found)
    assert all(e.right[-1] <= len(TASK.steps(RIGHT)) and e.wrong[-1] <= len(TASK.steps(wrong)) for e in found)
