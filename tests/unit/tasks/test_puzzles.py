"""The task of puzzles. What needs reasoning-gym is left out where it is not installed."""

import importlib.util
import random
from collections import deque
from dataclasses import replace

import pytest

from mel import prompts, tasks
from mel.ports import Inspectable
from mel.tasks.puzzles import Puzzles
from mel.tasks.puzzles.beside_score import holds_beside_score
from mel.tasks.puzzles.boards import as_shown, car_moves
from mel.tasks.puzzles.entry import Entry
from mel.tasks.puzzles.forms import FORMS
from mel.tasks.puzzles.judge import Job, judge
from mel.tasks.puzzles.sources import _reasoning_gym

needs_gym = pytest.mark.skipif(
    importlib.util.find_spec("reasoning_gym") is None, reason="reasoning-gym is not installed"
)

CHECKED = ("string_manipulation", "string_splitting", "string_synthesis", "chain_sum", "maze", "tower_of_hanoi")
"""Data sets with a step check whose items are made in milliseconds."""


WITHOUT_AN_ANSWER = ("boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour")
"""Data sets whose items name no answer of their own: many are right, and their score alone tells."""

LONG_TO_MAKE = (
    *("arc_agi", "codeio", "figlet_font", "futoshiki", "group_anagrams", "intermediate_integration", "knight_swap"),
    *("puzzle24", "quantum_lock", "sokoban", "zebra_puzzles"),
)
"""Data sets of which four items take half a second and more; the others take some five seconds all together."""


def puzzles(dataset: str = "modus_ponens", **options: object) -> Puzzles:
    return Puzzles(dataset=dataset, **({"train_size": 64, "test_size": 24} | options))  # pyright: ignore


def response(*steps: str, answer: str) -> str:
    return "\n".join([*(f"Step {i}: {s}" for i, s in enumerate(steps, 1)), f"Answer: {answer}"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"dataset": "modus_ponens", "config": {"min_lenght": 2}},
            "unknown key 'min_lenght' .* did you mean 'min_length'",
        ),
        ({"dataset": "modus_ponens", "config": {"min_length": 9}}, "refuses its config: expected 1 <= min_length"),
        ({"dataset": "modus_ponens", "seed": -1}, "seed must be 0 to 1000; got -1"),
        ({"dataset": "modus_ponens", "test_size": 0}, "test_size must be 1 to 65536; got 0"),
        ({"dataset": "modus_ponens", "config": {"seed": 3}}, "config"),
    ],
)
def test_a_bad_option_is_refused_in_one_line(options, message):
    with pytest.raises(ValueError, match=message) as refusal:
        tasks.load("puzzles", **options)
    assert "\n" not in str(refusal.value)


@needs_gym
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "tower_of_hanoy"}, "got 'tower_of_hanoy'; did you mean 'tower_of_hanoi'"),
        (
            {"dataset": "maze", "config": {"min_dists": 3}},
            "unknown key 'min_dists' of maze; .* did you mean 'min_dist'",
        ),
        ({"dataset": "maze", "config": {"size": 3}}, "config.size: the task sets it"),
        ({"dataset": "maze", "config": {"min_dist": 0}}, "maze refuses its config: min_dist must be >= 1"),
    ],
)
def test_a_bad_option_of_a_data_set_is_refused_in_one_line(options, message):
    with pytest.raises(ValueError, match=message) as refusal:
        tasks.load("puzzles", **options)
    assert "\n" not in str(refusal.value)


def test_an_unknown_split_or_more_problems_than_there_are_is_refused():
    with pytest.raises(ValueError, match="expected a split of train, validation, test; got 'dev'"):
        puzzles().problems("dev")
    with pytest.raises(ValueError, match=r"test has 24 problems, 25 were asked for: set task.options.test_size"):
        puzzles().problems("test", 25)


class _OneQuestion(Puzzles):
    def _entry(self, split, index):
        return super()._entry("train", 0)


def test_a_data_set_with_one_question_serves_one_split_and_says_so_in_the_others():
    refused = []
    for split in ("train", "validation", "test"):
        try:
            _OneQuestion(dataset="modus_ponens", train_size=4, test_size=4).problems(split)
        except ValueError as error:
            refused.append(str(error))
    assert len(refused) == 2
    assert all("only 0 of" in r and "its config leaves too few different questions" in r for r in refused)


def test_a_chain_of_implications_is_solved_by_following_it():
    for problem in puzzles().problems("train", 20):
        rules = dict(line[3:-1].split(" then ") for line in problem.text.splitlines() if line.startswith("If "))
        word, steps = problem.text.split()[4], []
        while word in rules:
            steps.append(f"from {word} follows {rules[word]}")
            word = rules[word]
        right = response(*steps, answer=word)
        assert puzzles().verify([problem], [right])[0].is_correct
        assert puzzles().first_error(problem, right) is None
        skipped = response(*steps[:1], *steps[2:], answer=word)
        assert puzzles().first_error(problem, skipped) == 2
        assert puzzles().verify([problem], [response(*steps[:-1], answer=steps[-1].split()[1])])[0].reason == "wrong"


@pytest.mark.parametrize(
    "text",
    [
        *("", "Step 1: from a follows b", "Step 1: x\nAnswer:", "the answer is bost"),
        *("<think>So\nAnswer: bost", "<think>So\nAnswer: bost\n</think>\nI am not sure"),
    ],
)
def test_a_response_without_an_answer_says_so(text):
    problem = puzzles().problems("test", 1)[0]
    assert puzzles().verify([problem], [text])[0].reason == "no_final_answer"


def test_steps_are_the_numbered_lines():
    text = "Let us see.\nStep 1: from a follows b\nstep 2 : so c\n\nAnswer: c"
    assert [text[s.start : s.end] for s in puzzles().steps(text)] == ["Step 1: from a follows b", "step 2 : so c"]
    assert puzzles().steps("Step 2: from a follows b") == ()


def test_the_task_can_be_inspected_and_its_prompts_ask_for_steps_on_lines():
    assert isinstance(puzzles(), Inspectable)
    asked = prompts.load("puzzles").solve("Who?")
    assert asked.startswith("Who?")
    assert '"Step 1: ..."' in asked
    assert '"Answer: ..."' in asked


def texts(task: Puzzles, split: str) -> list[tuple[str, str]]:
    return [(p.text, p.answer) for p in task.problems(split)]


@pytest.mark.parametrize("dataset", ["modus_ponens", *(pytest.param(d, marks=needs_gym) for d in CHECKED)])
def test_problems_do_not_depend_on_the_order_in_which_they_are_asked_for(dataset):
    first = puzzles(dataset)
    test, train = texts(first, "test"), texts(first, "train")
    random.seed(7)
    other_way = puzzles(dataset)
    few = [(p.text, p.answer) for p in other_way.problems("train", 3)]
    state = random.getstate()
    assert (texts(other_way, "train"), texts(other_way, "test")) == (train, test)
    assert few == train[:3]
    assert random.getstate() == state
    assert {t for t, _ in train}.isdisjoint(t for t, _ in test)
    assert texts(puzzles(dataset, seed=1), "test") != test


@needs_gym
@pytest.mark.parametrize("dataset", [d for d in CHECKED if d != "tower_of_hanoi"])
def test_every_own_answer_scores_1_and_another_does_not(dataset):
    task = puzzles(dataset)
    problems = task.problems("test", 12)
    assert all(v.is_correct for v in task.verify(problems, [response("x", answer=p.answer) for p in problems]))
    wrong = [response("x", answer=f"{p.answer}1") for p in problems]
    assert {v.reason for v in task.verify(problems, wrong)} == {"wrong"}


def _every_data_set() -> list:
    if importlib.util.find_spec("reasoning_gym") is None:
        return []
    names = sorted(_reasoning_gym())
    return [pytest.param(name, marks=pytest.mark.slow if name in LONG_TO_MAKE else ()) for name in names]


@pytest.mark.parametrize("dataset", _every_data_set())
def test_the_own_answer_of_every_data_set_is_right(dataset):
    for seed in (0, 1):
        task = Puzzles(dataset=dataset, seed=seed, train_size=2, test_size=1)
        problems = task.problems("train")
        jobs = [task._job(p, text) for p in problems if (text := task.reference(p)) is not None]
        # Judged in this process: these answers are the data's own, and a worker takes seconds to load.
        assert [judge(job).reason for job in jobs] == ["right"] * (0 if dataset in WITHOUT_AN_ANSWER else 2)


def test_a_response_with_the_own_answer_is_made_of_steps_where_these_are_the_answer():
    problem = puzzles().problems("train", 1)[0]
    assert puzzles().reference(problem) == f"Answer: {problem.answer}"
    assert puzzles().reference(replace(problem, answer="")) is None


@needs_gym
def test_the_moves_of_a_tower_are_its_answer():
    task = puzzles("tower_of_hanoi")
    problems = task.problems("test", 6)
    right = [response(*p.answer.splitlines(), answer="as above") for p in problems]
    assert [task.reference(p) for p in problems] == right
    short = [response(*p.answer.splitlines()[:-1], answer="as above") for p in problems]
    assert all(v.is_correct for v in task.verify(problems, right))
    assert [task.first_error(p, r) for p, r in zip(problems, right, strict=True)] == [None] * 6
    assert not any(v.is_correct for v in task.verify(problems, short))
    assert [task.first_error(p, r) for p, r in zip(problems, short, strict=True)] == [
        len(p.answer.splitlines()) for p in problems
    ]


@needs_gym
def test_a_way_out_of_rush_hour_is_right_and_the_judge_agrees_with_the_step_check():
    task = puzzles("rush_hour", config={"max_moves": 6})
    problems = task.problems("test", 3)
    for problem in problems:
        way = way_out(as_shown(task._entry_of(problem).metadata["board_config"]))
        right = response(*way, answer="as above")
        assert task.verify([problem], [right])[0].is_correct
        assert task.first_error(problem, right) is None
        assert task.first_error(problem, response(*way[:-1], answer="as above")) == len(way)


def way_out(board: str) -> list[str]:
    """The shortest one, by breadth first."""
    ways, queue = {board: []}, deque([board])
    while queue:
        at = queue.popleft()
        if at[17] == "A":
            return ways[at]
        for move, moved in car_moves(at):
            if moved not in ways:
                ways[moved] = [*ways[at], move]
                queue.append(moved)
    raise AssertionError("no way out")


@needs_gym
@pytest.mark.parametrize("dataset", ["string_manipulation", "string_splitting", "string_synthesis"])
def test_the_states_that_a_data_set_goes_through_have_no_wrong_step(dataset):
    task = puzzles(dataset)
    for problem in task.problems("test", 12):
        states = task._entry_of(problem).metadata["states"][1:]
        steps = [s if isinstance(s, str) else " ".join(map(str, s)) for s in states]
        text = response(*(s or "empty" for s in steps), answer=problem.answer)
        assert task.first_error(problem, text) is None
        if len(steps) > 1:
            assert task.first_error(problem, response(*steps[1:], answer=problem.answer)) == 1


@needs_gym
@pytest.mark.parametrize(
    ("dataset", "wrong"),
    [
        ("coin_flip", ["0", "0.0", "0/1"]),
        ("complex_arithmetic", ["nan", "nan+0i"]),
        ("fraction_simplification", ["{}+1", "{} or 7"]),
        ("game_of_life_halting", ["no idea", "7", "not {}"]),
        ("gsm_symbolic", ["-{}", "{}+1", "{} = 0", "{} or 7"]),
        ("advanced_geometry", ["{}, 7", "{} or 7"]),
        ("kakurasu", ["not {}", "{} is wrong"]),
        ("knights_knaves", ["not {}", "{} is wrong", "{} or 7"]),
        ("letter_jumble", ["{} and more"]),
        ("polynomial_multiplication", ["{} or 7", "{} # 7"]),
        ("word_sorting", ["{}, more"]),
        ("simple_integration", ["{} or 7"]),
        ("countdown", ["{} # 7", "({}) or 7"]),
        pytest.param("puzzle24", ["6*4*1*1", "9 + 9 + 5 + 1", "{} + 1/2"], marks=pytest.mark.slow),
    ],
)
def test_a_wrong_answer_that_a_data_set_scores_1_is_wrong(dataset, wrong):
    task = Puzzles(dataset=dataset, train_size=3, test_size=1)
    for problem in task.problems("train"):
        own, *others = [task._job(problem, f"Answer: {a}") for a in [problem.answer, *wrong]]
        assert own is not None
        assert judge(own).reason == "right"
        jobs = [job._replace(answer=job.answer.format(problem.answer)) for job in others if job is not None]
        assert [judge(job).reason for job in jobs] == ["wrong"] * len(wrong)


@needs_gym
def test_a_sorted_number_that_is_nearly_one_of_the_puzzle_is_wrong():
    entry = Entry(question="", answer="['-5.2', '19.0']", metadata={"direction": "ascending"})
    answers = ["['-5.2', '19.0']", "[-5.2, 19]", "['-5.2', '19.5']", "['19.0', '-5.2']"]
    found = [judge(Job("number_sorting", (), entry, answer)).reason for answer in answers]
    assert found == ["right", "right", "wrong", "wrong"]


@needs_gym
@pytest.mark.parametrize(
    ("gold", "right", "wrong"),
    [("", '""', "I do not know"), ("-0.7757, 1.9717", "1.9717, -0.7757", "-0.7757, 1.9717, or neither")],
)
def test_what_is_no_number_is_no_root_of_a_polynomial(gold, right, wrong):
    entry = Entry(question="", answer=gold, metadata={})
    found = [judge(Job("polynomial_equations", (), entry, answer)).reason for answer in (right, wrong)]
    assert found == ["right", "wrong"]


@pytest.mark.parametrize(
    ("dataset", "right", "wrong"),
    [
        ("sokoban", "RRDL", "Right, then RRDL"),
        ("figlet_font", "under standing", "understandi"),
        ("survo", "9 3 12\n8 2 10", "9 3 12 or\n8 2 10"),
        ("time_intervals", "5 days", "5 days or 7"),
        ("time_intervals", "03:22:03.5", "03:22 or so"),
        ("time_intervals", "18 days, 21:21:12", "18 days, 21:21:12, perhaps"),
    ],
)
def test_the_whole_answer_counts_and_not_what_a_data_set_finds_in_it(dataset, right, wrong):
    entry = Entry(question="", answer="UNDERSTANDING", metadata={})
    assert holds_beside_score(dataset, right, entry)
    assert not holds_beside_score(dataset, wrong, entry)


@needs_gym
def test_numbers_of_a_countdown_that_stand_in_a_comment_are_not_used():
    entry = Entry(question="", answer="2 * 3 + 4 - 4", metadata={"numbers": [2, 3, 4, 4], "target": 6})
    answers = ["2 * 3 + 4 - 4", "3*(4/4)*2", "2 * 3 # 4 4", 'len("...... 2 3 4 4")', "(2 or 3) * 3", "2 * 3 + 0"]
    judged = [judge(Job("countdown", (), entry, answer)).reason for answer in answers]
    assert judged == ["right", "right", *["wrong"] * 4]


@needs_gym
def test_an_answer_that_is_code_is_judged_in_a_worker_and_wrong():
    task = puzzles("countdown", config={"min_numbers": 3, "max_numbers": 3}, test_size=4, train_size=4)
    problem = task.problems("test", 1)[0]
    hostile = "__import__('os')._exit(7)"
    found = task.verify([problem, problem], [response("x", answer=hostile), response("x", answer=problem.answer)])
    assert not found[0].is_correct
    assert found[1].is_correct


def test_ten_data_sets_have_an_exact_step_check():
    assert len(FORMS) == 10
