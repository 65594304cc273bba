"""The kinds of small worlds beside story counts: what is the same for all kinds is tested there."""

import random
from itertools import pairwise

import pytest

from mel import tasks
from mel.ports import Inspectable
from mel.tasks.drawn import split_of
from mel.tasks.rewriting import REWRITING, rewriting
from mel.tasks.small_world import misconceptions_of, solution_text
from mel.tasks.straight_line import PROGRAMS, straight_line
from mel.types import Problem

# flim turns round, trav moves all letters ahead, plon swaps the ends.
PUZZLE = Problem(id="p", text="start b a d e c 1) flim 2) trav 3) plon", answer="c d a b e")
# b a d e c reversed; then moved ahead; then with c and e swapped.
PUZZLE_SOLUTION = "1) flim reverse = c e d a b 2) trav ahead = e d a b c 3) plon ends = c d a b e answer c d a b e"

# 50 + 3 = 53, less 4 is 49.
PROGRAM = Problem(id="p", text="start a 50 b 3 c 2 d 4 1) e = a zam b 2) f = e plo d", answer="49")
PROGRAM_SOLUTION = "1) a 50 zam plus b 3 = e 53 2) e 53 plo minus d 4 = f 49 answer 49"

BOTH = pytest.mark.parametrize("make", [rewriting, straight_line])


def test_a_puzzle_is_solved_as_by_hand():
    chain = REWRITING.parse(PUZZLE.text)
    assert solution_text(REWRITING.read(chain, lambda word, _: REWRITING.truth[word])) == PUZZLE_SOLUTION


def test_a_program_is_traced_as_by_hand():
    chain = PROGRAMS.parse(PROGRAM.text)
    assert solution_text(PROGRAMS.read(chain, lambda name, _: PROGRAMS.truth[name])) == PROGRAM_SOLUTION


@pytest.mark.parametrize(("meaning", "result"), [("plus", 53), ("minus", 47), ("keep", 50), ("rise", 56), ("fall", 44)])
def test_an_operator_does_what_it_is_taken_for(meaning, result):
    # Of 50 and 3: the sum, the difference, the first, and the same with twice the second.
    chain = PROGRAMS.parse("start a 50 b 3 c 2 d 4 1) e = a zam b")
    assert PROGRAMS.read(chain, lambda *_: meaning)[0].value == str(result)


@pytest.mark.parametrize(
    ("task", "problem", "solution", "error"),
    [
        (rewriting(length=3), PUZZLE, PUZZLE_SOLUTION, None),
        # The meaning is right, two letters of what results are not.
        (rewriting(length=3), PUZZLE, PUZZLE_SOLUTION.replace("= c e d a b", "= c e d b a"), 1),
        (rewriting(length=3), PUZZLE, PUZZLE_SOLUTION.replace("trav ahead = e d a b c", "trav behind = b c e d a"), 2),
        (rewriting(length=3), PUZZLE, PUZZLE_SOLUTION.replace(" 3) plon ends = c d a b e", ""), 3),
        (straight_line(length=2), PROGRAM, PROGRAM_SOLUTION, None),
        # A number that was never assigned, a wrong operand, an operator taken for another.
        (straight_line(length=2), PROGRAM, PROGRAM_SOLUTION.replace("a 50 zam", "a 51 zam"), 1),
        (straight_line(length=2), PROGRAM, PROGRAM_SOLUTION.replace("minus d 4", "minus c 4"), 2),
        (straight_line(length=2), PROGRAM, PROGRAM_SOLUTION.replace("minus d 4 = f 49", "plus d 4 = f 57"), 2),
        (straight_line(length=2), PROGRAM, "answer 49", None),
    ],
)
def test_first_error(task, problem, solution, error):
    assert task.first_error(problem, solution) == error


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (PROGRAM_SOLUTION, "right"),
        (f"rule zam means plus {PROGRAM_SOLUTION}", "right"),
        (PROGRAM_SOLUTION.replace("answer 49", "answer 48"), "wrong"),
        (PROGRAM_SOLUTION.replace(" answer 49", ""), "no_final_answer"),
        (PROGRAM_SOLUTION.replace("= e 53", "e 53"), "malformed"),
        ("", "no_final_answer"),
    ],
)
def test_verdicts_on_a_program(response, reason):
    assert straight_line().verify([PROGRAM], [response])[0].reason == reason


def test_a_string_is_right_with_all_its_letters_in_order_only():
    task = rewriting()
    answers = (PUZZLE_SOLUTION, PUZZLE_SOLUTION[:-2], PUZZLE_SOLUTION.replace("answer c d", "answer d c"))
    assert [v.reason for v in task.verify([PUZZLE] * 3, answers)] == ["right", "wrong", "wrong"]


@BOTH
def test_every_own_solution_is_right_without_an_error_and_holds_words_of_its_kind_only(make):
    task = make(length=6)
    known = {*task.kind.truth, *task.kind.meanings, *task.kind.words, *task.kind.numbers, "start", "answer", "="}
    for problem in task.problems("train", 30):
        solution = str(problem.metadata["solution"])
        assert task.verify([problem], [solution])[0].is_correct
        assert task.first_error(problem, solution) is None
        assert len(task.steps(solution)) == 6
        assert {w for w in f"{problem.text} {solution}".split() if not w.endswith(")")} <= known
        assert max(len(step.split()) for step in solution.split(" answer")[0].split(") ")[1:]) <= task.kind.step_words


@BOTH
def test_problems_depend_on_the_world_and_their_number_only_and_their_text_decides_the_split(make):
    first, longer, other = make().problems("test", 5), make().problems("test", 20), make(world=1).problems("test", 5)
    assert first == longer[:5] != other
    assert {split_of(p.text) for p in longer} == {"test"}


@BOTH
def test_a_text_that_is_no_problem_is_refused(make):
    with pytest.raises(ValueError, match="expected a p"):
        make().kind.parse("start 53 1) catches 4")


def test_every_statement_of_a_program_reads_what_the_one_before_it_assigned():
    for seed in range(50):
        statements = PROGRAMS.draw(random.Random(seed), 6).statements
        for before, after in pairwise(statements):
            assert before.target == after.left


@pytest.mark.parametrize("kind", [REWRITING, PROGRAMS])
def test_a_world_misconceives_a_quarter_of_30_words_and_always_wrongly(kind):
    wrong = misconceptions_of(kind, 3, 0.25)
    assert len(kind.truth) == 30
    assert len(wrong) == 8
    assert all(kind.truth[concept] != meaning in kind.meanings for concept, meaning in wrong.items())


@pytest.mark.parametrize("name", ["rewriting", "straight_line"])
def test_the_tasks_are_in_the_table_and_can_be_inspected(name):
    task = tasks.load(name, world=1)
    assert isinstance(task, Inspectable)
    concept, meaning = next(iter(tasks.load(name).kind.truth.items()))
    assert task.is_true_rule(PROGRAM, f"rule {concept} means {meaning}") is True
    assert task.is_true_rule(PROGRAM, "rule nothing means nothing") is None


def test_a_length_out_of_range_is_refused_by_the_task_s_name():
    with pytest.raises(ValueError, match="straight_line: length is the number of assignments, 1 to 6; got 7"):
        straight_line(length=7)
