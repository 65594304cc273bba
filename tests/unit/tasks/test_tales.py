import pytest

from mel import tasks
from mel.ports import Conceptual, Inspectable
from mel.tasks.drawn import split_of
from mel.tasks.tales import Tales
from mel.tasks.tales.story import counts, rule_text, solution_of, steps_of
from mel.tasks.tales.verbs import MEANING_OF, MEANINGS, PARTS, SENTENCES, VERBS, dealt
from mel.types import Problem

# 14 + 5 = 19, counting leaves 19, selling 4 leaves 15.
PROBLEM = Problem(
    id="p",
    text="Tom has 14 apples. He buys 5 more. He counts 3 of them. He sells 4 apples. How many has he now?",
    answer="15",
    metadata={"counts": [19, 19, 15], "verbs": ["buys", "counts", "sells"], "meanings": ["more", "same", "fewer"]},
)
STEPS = [
    "Step 1: buys 5 more, 14 + 5 = 19",
    "Step 2: counts 3 of them, still 19",
    "Step 3: sells 4 apples, 19 - 4 = 15",
]
RIGHT = "\n".join([*STEPS, "#### 15"])


def verdict(response: str):
    return Tales().verify([PROBLEM], [response])[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "length is the number of events, 1 to 8; got 0"),
        ({"length": 9}, "length is the number of events, 1 to 8; got 9"),
        ({"verbs": "some"}, "verbs is one of taught, seen, unseen"),
        ({"wording": "taught"}, "wording one of seen, unseen"),
        ({"practiced": 0}, "practiced is a number of verbs of each meaning, 1 to 51; got 0"),
        ({"practiced": 52}, "1 to 51; got 52"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"train_size": 0}, "sizes 1 or more"),
    ],
)
def test_a_bad_option_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Tales(**options)


def test_an_unknown_split_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="expected a split of train, validation, test; got 'dev'"):
        Tales().problems("dev")


def test_the_same_seed_gives_the_same_problems_and_another_seed_others():
    first, again, other = (Tales(seed=s).problems("train", 20) for s in (0, 0, 1))
    assert first == again
    assert [p.text for p in first] != [p.text for p in other]


def test_a_problem_does_not_depend_on_how_many_are_asked_for():
    assert Tales().problems("test", 3) == Tales().problems("test", 30)[:3]


def test_no_problem_is_in_two_splits_because_its_text_decides():
    task = Tales(length=1, practiced=2)
    for split in ("train", "validation", "test"):
        assert {split_of(p.text) for p in task.problems(split, 100)} == {split}


def test_stored_answers_are_what_counting_by_hand_gives():
    for problem in Tales(length=8).problems("test", 50):
        words = problem.text.replace(".", " ").split()
        numbers = [int(word) for word in words if word.isdecimal()]
        count = numbers[0]
        for amount, verb in zip(numbers[1:], problem.metadata["verbs"], strict=True):
            count += amount * ((verb in VERBS["more"]) - (verb in VERBS["fewer"]))
        assert problem.answer == str(count)
        assert min(problem.metadata["counts"]) >= 0


def test_every_verb_has_one_meaning():
    assert [len(VERBS[m]) for m in MEANINGS] == [64, 64, 64]
    assert len(MEANING_OF) == 192


def test_no_verb_is_in_two_parts_and_none_is_left_out():
    for seed in (0, 1):
        parts = dealt(seed, 12, 16)
        for meaning in MEANINGS:
            held = [verb for part in PARTS for verb in parts[part][meaning]]
            assert sorted(held) == sorted(VERBS[meaning])
            assert [len(parts[part][meaning]) for part in PARTS] == [12, 16, 36]


def test_no_seed_practices_or_tests_a_verb_that_the_warm_up_teaches():
    assert dealt(0, 12, 16)["taught"] == dealt(7, 12, 16)["taught"]
    assert dealt(0, 12, 16)["seen"] != dealt(7, 12, 16)["seen"]


def test_problems_hold_the_verbs_that_were_asked_for_and_no_others():
    for part in PARTS:
        task = Tales(verbs=part)
        allowed = {verb for verbs in task.parts[part].values() for verb in verbs}
        assert {verb for p in task.problems("test", 40) for verb in p.metadata["verbs"]} <= allowed


def test_the_plain_sentence_gives_no_meaning_away():
    for sentences in SENTENCES.values():
        shared = set.intersection(*(set(sentences[m]) for m in MEANINGS))
        for meaning in MEANINGS:
            told = [s for s in sentences[meaning] if s in shared]
            assert 2 * len(told) >= len(sentences[meaning])


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (RIGHT, "right"),
        ("#### 15", "right"),
        ("so it is \\boxed{15}", "right"),
        ("#### 15 apples.", "right"),
        ("#### 14\nno, wait\n#### 15", "right"),
        # Two errors that cancel: the verifier looks at the answer, like one for mathematics.
        ("Step 1: buys 5 more, 14 + 5 = 20\nStep 2: counts 3 of them, still 20\nStep 3: 20 - 4 = 15\n#### 15", "right"),
        ("#### 16", "wrong"),
        ("#### 15\n#### 16", "wrong"),
        ("#### -15", "wrong"),
        ("", "no_final_answer"),
        ("The answer is 15", "no_final_answer"),
        ("#### 15 or 16", "no_final_answer"),
        ("#### 15\n#### 15 or 16", "no_final_answer"),
        ("\\boxed{15}\nno: #### sixteen", "no_final_answer"),
        ("#### 14 or 15\n\\boxed{15}", "right"),
        ("####", "no_final_answer"),
        ("<think>so it is\n#### 15", "no_final_answer"),
        ("<think>so it is\n#### 16\n</think>\n#### 15", "right"),
    ],
)
def test_verdicts(response, reason):
    assert verdict(response).reason == reason
    assert verdict(response).is_correct == (reason == "right")


def test_the_right_solution_of_every_problem_is_right_and_has_no_error():
    import random

    from mel.tasks.tales.story import draw_tale
    from mel.tasks.tales.task import problem_of

    task = Tales()
    for i in range(50):
        tale = draw_tale(random.Random(i), VERBS, length=6)
        problem, solution = problem_of(tale, str(i)), solution_of(steps_of(tale))
        assert task.verify([problem], [solution])[0].is_correct
        assert task.first_error(problem, solution) is None
        assert counts(tale)[-1] == int(problem.answer)


def test_steps_are_the_numbered_lines_without_the_answer():
    steps = Tales().steps(RIGHT)
    assert [RIGHT[s.start : s.end] for s in steps] == STEPS
    assert [s.number for s in steps] == [1, 2, 3]


@pytest.mark.parametrize("solution", ["", "#### 15", "Step 2: x", "Step 1: x\nStep 3: y", "Step 1: x\nStep 1: y"])
def test_a_solution_that_is_not_numbered_from_one_in_order_has_no_steps(solution):
    assert Tales().steps(solution) == ()


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (RIGHT, None),
        (RIGHT.replace("still 19", "19 + 3 = 22"), 2),
        (RIGHT.replace("still 19", "still 18"), 2),
        # The count is right, the sum is not.
        (RIGHT.replace("14 + 5 = 19", "14 - 5 = 19"), 1),
        # Said otherwise, and right.
        (RIGHT.replace("buys 5 more, 14 + 5 = 19", "he then has 19"), None),
        (RIGHT.replace("Step 2: counts 3 of them, still 19", "Step 2: counts them"), 2),
        ("\n".join([*STEPS[:2], "#### 19"]), 3),
        ("\n".join([*STEPS, "Step 4: buys 5 more, 15 + 5 = 20", "#### 20"]), 4),
        (RIGHT.replace("#### 15", "#### 16"), None),
        ("no steps at all", None),
    ],
)
def test_first_error(response, error):
    assert Tales().first_error(PROBLEM, response) == error


def test_a_problem_of_another_task_is_refused():
    with pytest.raises(ValueError, match="expected a problem of this task"):
        Tales().first_error(Problem(id="x", text="1 + 1", answer="2"), RIGHT)


@pytest.mark.parametrize(
    ("heuristic", "truth"),
    [
        (rule_text("counts", "same"), True),
        ("If someone counts things, then the number stays the same.", True),
        (rule_text("gets", "more"), True),
        ("If someone gets things, then the number gets smaller.", False),
        ("When somebody sells or loses things, the number goes down.", True),
        ("If someone counts things, then the number grows.", False),
        ("If someone sells or counts things, then the number gets smaller.", False),
        # "buys back" is a verb of its own, and not "buys".
        ("If someone buys back things, then the number grows.", True),
        ("Be careful.", None),
        ("If someone counts things, be careful.", None),
        ("If someone frobnicates things, then the number grows.", None),
        ("If someone counts things, then the number grows or stays the same.", None),
    ],
)
def test_is_true_rule(heuristic, truth):
    assert Tales().is_true_rule(PROBLEM, heuristic) is truth


@pytest.mark.parametrize("verb", MEANING_OF)
def test_the_rule_of_every_verb_is_true_in_its_own_meaning_only(verb):
    truths = {m: Tales().is_true_rule(PROBLEM, rule_text(verb, m)) for m in MEANINGS}
    assert truths == {m: m == MEANING_OF[verb] for m in MEANINGS}


def test_the_task_can_be_inspected():
    assert isinstance(tasks.load("tales"), Inspectable)


def test_a_step_turns_on_the_verb_of_its_event():
    task = Tales(length=3)
    (problem,) = task.problems("train", 1)
    assert isinstance(task, Conceptual)
    assert [task.concept(problem, step) for step in (0, 1, 2, 3, 4)] == [None, *problem.metadata["verbs"], None]
