import pytest

from mel import tasks
from mel.ports import Inspectable
from mel.tasks.drawn import split_of
from mel.tasks.story_counts import (
    MINUS,
    PLUS,
    SAME,
    TRUE_MEANING,
    Story,
    StoryCounts,
    misconceptions,
    solution_text,
    true_readings,
)
from mel.types import Problem

# 53 + 4 = 57, sorting leaves 57, losing 5 leaves 52.
PROBLEM = Problem(id="p", text="start 53 1) catches 4 2) sorts 2 3) loses 5", answer="52")
RIGHT = "1) catches plus 4 = 57 2) sorts same 2 = 57 3) loses minus 5 = 52 answer 52"


def verdict(response: str):
    return StoryCounts().verify([PROBLEM], [response])[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "length is the number of events, 1 to 8; got 0"),
        ({"length": 9}, "length is the number of events, 1 to 8; got 9"),
        ({"misconceived": 1.5}, "misconceived is a share, 0 to 1; got 1.5"),
        ({"world": -1}, "world must be 0 or more"),
        ({"test_size": 0}, "sizes 1 or more"),
    ],
)
def test_a_bad_option_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        StoryCounts(**options)


def test_an_unknown_split_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="expected a split of train, validation, test; got 'dev'"):
        StoryCounts().problems("dev")


def test_the_same_seed_gives_the_same_problems_and_another_seed_others():
    first, again, other = (StoryCounts(world=w).problems("train", 20) for w in (0, 0, 1))
    assert first == again
    assert [p.text for p in first] != [p.text for p in other]


def test_a_problem_does_not_depend_on_how_many_are_asked_for():
    assert StoryCounts().problems("test", 3) == StoryCounts().problems("test", 30)[:3]


def test_all_of_a_split_is_what_the_size_says():
    task = StoryCounts(train_size=7, test_size=3)
    assert [len(task.problems(s)) for s in ("train", "validation", "test")] == [7, 3, 3]


def test_stored_answers_are_what_counting_by_hand_gives():
    for problem in StoryCounts(length=8).problems("test", 50):
        words = problem.text.split()
        count = int(words[1])
        for verb, amount in zip(words[3::3], words[4::3], strict=True):
            count += int(amount) * ((verb in PLUS) - (verb in MINUS))
        assert problem.answer == str(count)
        assert 0 <= count <= 100


def test_no_problem_is_in_two_splits_because_its_text_decides():
    task = StoryCounts(length=1)
    drawn = {s: {p.text for p in task.problems(s, 300)} for s in ("train", "validation", "test")}
    for split, texts in drawn.items():
        assert {split_of(text) for text in texts} == {split}


def test_there_are_twenty_verbs_of_each_meaning_and_none_twice():
    assert len(PLUS) == len(MINUS) == len(SAME) == 20
    assert len(TRUE_MEANING) == 60


def test_a_world_misconceives_the_stated_share_and_always_wrongly():
    wrong = misconceptions(3, 0.3)
    assert len(wrong) == 18
    assert all(TRUE_MEANING[verb] != meaning for verb, meaning in wrong.items())
    assert wrong != misconceptions(4, 0.3)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (RIGHT, "right"),
        (f"rule sorts means same {RIGHT}", "right"),
        # Two errors that cancel: the verifier looks at the answer, like one for mathematics.
        ("1) catches plus 4 = 57 2) sorts plus 2 = 59 3) loses minus 5 = 52 answer 52", "right"),
        ("1) catches plus 4 = 57 2) sorts plus 2 = 59 3) loses minus 5 = 54 answer 54", "wrong"),
        ("1) catches plus 4 = 57 2) sorts same 2 = 57", "no_final_answer"),
        ("", "no_final_answer"),
        ("answer 52", "malformed"),
        ("2) catches plus 4 = 57 answer 52", "malformed"),
        ("1) catches plus 4 57 answer 52", "malformed"),
        (f"rule sorts same {RIGHT}", "malformed"),
        (f"{RIGHT} answer 52", "malformed"),
    ],
)
def test_verdicts(response, reason):
    assert verdict(response).reason == reason
    assert verdict(response).is_correct == (reason == "right")


def test_the_right_solution_of_every_problem_is_right_and_has_no_error():
    task = StoryCounts(length=8)
    for problem in task.problems("train", 30):
        solution = solution_text(true_readings(Story.parse(problem.text)))
        assert task.verify([problem], [solution])[0].is_correct
        assert task.first_error(problem, solution) is None


def test_steps_are_the_numbered_segments_without_rule_and_answer():
    solution = f"rule sorts means same {RIGHT}"
    steps = StoryCounts().steps(solution)
    assert [solution[s.start : s.end] for s in steps] == [
        "1) catches plus 4 = 57",
        "2) sorts same 2 = 57",
        "3) loses minus 5 = 52",
    ]
    assert [s.number for s in steps] == [1, 2, 3]


@pytest.mark.parametrize(
    "solution", ["", "answer 5", "2) sorts same 2 = 57", "1) sorts same 2 = 57 or so 2) sorts same 2 = 57"]
)
def test_a_solution_that_is_not_numbered_from_one_in_order_has_no_steps(solution):
    assert StoryCounts().steps(solution) == ()


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (RIGHT, None),
        ("1) catches plus 4 = 57 2) sorts plus 2 = 59 3) loses minus 5 = 54 answer 54", 2),
        # The meaning is right, the count is not.
        ("1) catches plus 4 = 58 2) sorts same 2 = 58 3) loses minus 5 = 53 answer 53", 1),
        # Another verb than the problem's.
        ("1) catches plus 4 = 57 2) paints same 2 = 57 3) loses minus 5 = 52 answer 52", 2),
        ("1) catches plus 4 = 57 2) sorts same 2 = 57 answer 57", 3),
        (f"{RIGHT.removesuffix(' answer 52')} 4) wins plus 1 = 53 answer 53", 4),
        (RIGHT.replace("answer 52", "answer 50"), None),
        ("no steps at all", None),
    ],
)
def test_first_error(response, error):
    assert StoryCounts().first_error(PROBLEM, response) == error


@pytest.mark.parametrize(
    ("heuristic", "truth"),
    [
        ("rule sorts means same", True),
        ("sorts means same", True),
        ("rule sorts means minus", False),
        ("rule be careful", None),
        ("rule table means same", None),
    ],
)
def test_is_true_rule(heuristic, truth):
    assert StoryCounts().is_true_rule(PROBLEM, heuristic) is truth


def test_the_task_can_be_inspected():
    assert isinstance(tasks.load("story_counts"), Inspectable)
