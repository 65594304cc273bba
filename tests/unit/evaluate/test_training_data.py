from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from mel.evaluate.golds import Golds
from mel.evaluate.references import HasReferences, References, examine_references
from mel.evaluate.training_data import (
    Benchmark,
    Overlap,
    TrainingData,
    examine_training_data,
    grams,
    overlap,
    prompt_lengths,
)
from mel.prompts import load as load_prompts
from mel.prompts.ask import PlainAsk
from mel.report.data_table import training_data_table
from mel.tasks import load
from mel.types import Message, Problem, TokenIds

ASK = PlainAsk(prompts=load_prompts("story_counts"))
DATA = Path(__file__).parents[4] / "shared" / "data"
FIFTEEN = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"


def problem(identity: str, text: str) -> Problem:
    return Problem(id=identity, text=text, answer="1")


class WordTokenizer:
    """A token per word; the template adds two."""

    def chat(self, messages: Sequence[Message]) -> TokenIds:
        return tuple(range(2 + sum(len(m["content"].split()) for m in messages)))

    def encode(self, text: str) -> TokenIds:
        return tuple(range(len(text.split())))

    def decode(self, token_ids: Sequence[int]) -> str:
        return " ".join(map(str, token_ids))

    def token_index(self, token_ids: Sequence[int], char: int) -> int:
        return 0


def test_a_text_of_fifteen_words_has_three_13_grams() -> None:
    assert len(grams(FIFTEEN)) == 3
    assert grams("twelve words " * 6) == frozenset()


def test_spelling_that_latex_adds_does_not_hide_a_gram() -> None:
    assert grams(FIFTEEN.title().replace(" ", r"$\, $")) == grams(FIFTEEN)


def test_half_of_the_grams_in_one_training_problem_is_an_overlap() -> None:
    first_two = " ".join(FIFTEEN.split()[:14])
    first_one = " ".join(FIFTEEN.split()[:13])
    last_one = " ".join(FIFTEEN.split()[2:])
    found = overlap([problem("t", f"Find {first_two} now")], [problem("b", FIFTEEN)])
    assert (found.ids, found.pairs) == (frozenset({"b"}), (("b", "t"),))
    # One third each, two thirds together: no single training problem holds half.
    assert overlap([problem("t", first_one), problem("u", last_one)], [problem("b", FIFTEEN)]).ids == frozenset()


def test_a_problem_too_short_to_tell_is_counted_and_not_flagged() -> None:
    found = overlap([problem("t", "What is 1 + 1?")], [problem("b", "What is 1 + 1?")])
    assert (found.ids, found.too_short) == (frozenset(), 1)


def test_prompt_lengths_count_instruction_and_template() -> None:
    problems = [problem(str(n), "w " * n) for n in (1, 2, 6, 7)]
    lengths = prompt_lengths(problems, WordTokenizer(), ASK, limit=8)
    assert lengths.histogram == {4: 2, 8: 1, 16: 1}
    assert (lengths.mean, lengths.median, lengths.p95, lengths.longest) == (6.0, 8, 9, 9)
    assert lengths.too_long == 1


def test_lengths_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one problem"):
        prompt_lengths([], WordTokenizer(), ASK)


def test_a_task_without_an_account_is_checked_too() -> None:
    task = load("story_counts")
    check = examine_training_data(
        task,
        {"itself": Benchmark(problems=task.problems("train", 5), task=task)},
        count=20,
        tokenizer=WordTokenizer(),
        ask=ASK,
    )
    assert (check.problems, check.records, check.dropped) == (20, 20, {})
    assert check.lengths is not None


def test_the_solutions_that_problems_come_with_are_judged_evenly_spaced_and_those_that_fail_are_named() -> None:
    task = load("puzzles", dataset="modus_ponens", train_size=16, test_size=4)
    assert isinstance(task, HasReferences)
    first, second, third, *rest = task.problems("train", 9)
    problems = [replace(first, answer=""), second, replace(third, answer="nobody"), *rest]
    found = examine_references(problems, task)
    assert (found.problems, found.without, found.judged) == (9, 1, 8)
    assert found.failed == ((third.id, "wrong", "answer nobody"),)
    # Of the eight with a solution the first, fourth and seventh.
    assert examine_references(problems, task, most=3) == References(problems=9, without=1, judged=3)
    check = examine_training_data(task, {"test": Benchmark(problems=task.problems("test", 2), task=task)}, count=3)
    assert {name: (one.judged, one.failed) for name, one in check.references.items()} == {
        "puzzles": (3, ()),
        "test": (2, ()),
    }


def test_a_training_set_is_shown_as_tables() -> None:
    data = TrainingData(
        task="dapo_math",
        split="train",
        records=10,
        unique=8,
        conflicts=1,
        dropped={"duplicate": 2, "conflicting_gold": 1},
        problems=7,
        first={"duplicate": 5},
        left_out={"amc23": {"no_answer": 3}},
        golds={
            "dapo_math": Golds(different=6, unreadable=(("p1", "see [1]\u200b"),), unequal=(("p2", "x=1", "wrong"),))
        },
        lengths=prompt_lengths([problem("a", "w")], WordTokenizer(), ASK, limit=2),
        overlaps=(
            Overlap(benchmark="amc23", problems=44, ids=frozenset({"x"}), pairs=(("x", "y"),), too_short=4),
            Overlap(benchmark="short", problems=3, ids=frozenset(), pairs=(), too_short=3),
        ),
        references={"mbpp": References(problems=9, without=2, judged=5, failed=(("m1", "timeout", "after 10 s"),))},
    )
    out = io.StringIO()
    Console(file=out, width=120).print(training_data_table(data))
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.getvalue().splitlines()]
    assert ["dropped: duplicate", "2 (the first is record 5)"] in lines
    assert ["left out of amc23: no_answer", "3"] in lines
    assert ["dapo_math", "6", "1", "1"] in lines
    assert ["p1", "see [1]<U+200B>", "cannot be read"] in lines
    assert ["p2", "x=1", "in another spelling is judged: wrong"] in lines
    assert ["amc23", "44", "1", "2.5 %", "4"] in lines
    assert ["short", "3", "0", "-", "3"] in lines
    assert ["over 2", "1", "longer than the limit"] in lines
    assert ["mbpp", "9", "2", "5", "1"] in lines
    assert ["m1", "timeout", "after 10 s"] in lines
    assert "questions with more than one gold" in out.getvalue()


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the development data in ../shared/data")
def test_dapo_contains_the_published_numbers_of_benchmark_problems() -> None:
    pytest.importorskip("datasets")
    pytest.importorskip("pebble")
    names = ("aime24", "aime25", "amc23", "math500", "olympiadbench")
    found = {n: load(n, source=str(DATA / f"benchmarks/{n}.jsonl")) for n in names}
    benchmarks = {n: Benchmark(problems=task.problems("test")) for n, task in found.items()}
    check = examine_training_data(load("dapo_math", source=str(DATA / "train/dapo_math_17k.jsonl.gz")), benchmarks)
    assert (check.records, check.unique, check.conflicts) == (17_917, 17_188, 12)
    assert check.problems == 17_176
    found = {o.benchmark: len(o.ids) for o in check.overlaps}
    assert found == {"aime24": 0, "aime25": 0, "amc23": 22, "math500": 18, "olympiadbench": 47}
