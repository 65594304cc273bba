import re

import pytest

from mel import prompts
from mel.miniature.corpus import Corpus, Mixture, walk_text
from mel.tasks.drawn import split_of
from mel.tasks.small_world import experience_text
from mel.tasks.story_counts import TRUE_MEANING, Reading, Story, StoryCounts
from mel.types import Problem

READ = re.compile(r"\d+\) (\w+) (\w+) (\d+) = (\d+)")
FLAWLESS = Mixture(read_right=1.0, careless=0.0, biased=0.0, recalled=0.0, hinted=0.0)


def corpus(mixture: Mixture, seed: int = 0) -> Corpus:
    return Corpus(0, prompts.load("story_counts"), mixture, seed=seed)


def step(verb: str, meaning: str, amount: int, count: int) -> Reading:
    return Reading(verb=verb, meaning=meaning, amount=amount, count=count)


def test_the_walk_stops_at_the_first_step_that_differs():
    right = [step("catches", "plus", 4, 57), step("sorts", "same", 2, 57), step("loses", "minus", 5, 52)]
    wrong = [step("catches", "plus", 4, 57), step("sorts", "minus", 2, 55), step("loses", "plus", 5, 60)]
    assert walk_text(right, wrong) == "1) plus plus 2) same minus !"
    assert walk_text(right, right) == "1) plus plus 2) same same 3) minus minus none"


def test_an_experience_names_the_step_the_error_and_the_rule():
    assert experience_text(1, "sorts", bad="minus", good="same") == "at 2) sorts not minus rule sorts means same"


def test_the_same_seed_teaches_the_same():
    first, again = corpus(Mixture(), seed=3), corpus(Mixture(), seed=3)
    assert [first.solving(5) for _ in range(20)] == [again.solving(5) for _ in range(20)]


def test_solutions_from_a_policy_without_misconceptions_are_right():
    source, task = corpus(FLAWLESS), StoryCounts()
    for _ in range(50):
        turn, output = source.solving(5)
        count = int(re.findall(r"\d+$", output)[0])
        problem = Problem(id="p", text=turn, answer=str(count))
        assert task.first_error(problem, output) is None


def test_only_problems_of_the_train_split_are_taught():
    source = corpus(FLAWLESS)
    assert {split_of(source.solving(2)[0]) for _ in range(100)} == {"train"}


def test_a_misconceived_verb_is_read_right_as_often_as_stated():
    source, wrong = corpus(Mixture()), StoryCounts().misconceptions
    reads = [source.believe(verb) == TRUE_MEANING[verb] for verb in wrong for _ in range(500)]
    assert len(reads) == 9000
    assert sum(reads) / len(reads) == pytest.approx(0.25, abs=0.02)


def test_a_note_is_obeyed_wherever_its_verb_occurs_and_a_recalled_rule_too():
    source = corpus(Mixture(hinted=1.0, irrelevant=0.0)), corpus(Mixture(hinted=0.0, recalled=1.0))
    for where, kind in zip((0, 1), source, strict=True):
        for _ in range(100):
            item = kind.solving(8)
            verb, meaning = re.findall(r"rule (\w+) means (\w+)", item[where])[0]
            obeyed = [m for v, m, _, _ in READ.findall(item[1]) if v == verb]
            assert obeyed
            assert set(obeyed) == {meaning}


def test_a_careful_comparison_names_the_first_difference_and_the_right_reading():
    source = corpus(FLAWLESS)
    for _ in range(50):
        turn, output = source.comparison(5)
        right, wrong = (READ.findall(half) for half in turn.split(" wrong "))
        first = next(i for i, (a, b) in enumerate(zip(right, wrong, strict=True)) if a != b)
        verb, good = right[first][:2]
        expected = experience_text(first, verb, bad=wrong[first][1], good=good)
        assert output.endswith(f"! {expected}")
        assert Story.parse(turn.split(" right ")[0])
