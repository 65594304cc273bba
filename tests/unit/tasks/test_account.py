"""No record of a data set vanishes: it is a problem, or it is counted; and a benchmark counts whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

pytest.importorskip("datasets")

from mel.column_text import gold_text
from mel.tasks import load, load_benchmark
from mel.tasks.account import left_out
from mel.tasks.columns import question_text

TWICE = [{"problem": f"q{i % 3}", "answer": str(i % 3)} for i in range(5)]


def write(path: Path, rows: Sequence[Mapping[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_problems_of_a_benchmark_without_an_answer_are_counted(tmp_path: Path) -> None:
    rows = [{"problem": f"q{i}", "answer": None if i in (6, 20) else str(i)} for i in range(30)]
    task = load_benchmark("aime24", source=write(tmp_path / "aime.jsonl", rows))
    assert len(task.problems("test")) == 28
    assert left_out(task, "test") == {"no_answer": 2}
    assert task.loaded("test").first == {"no_answer": 7}


@pytest.mark.parametrize(
    ("row", "options", "why"),
    [
        ({"problem": "q", "answer": "it is 3"}, {"extractor": "hashes"}, "no_answer 2"),
        ({"problem": "q", "answer": "3"}, {"language": "zh"}, "language 2"),
    ],
)
def test_a_data_set_of_which_nothing_is_left_says_why(
    row: dict[str, object], options: dict[str, str], why: str, tmp_path: Path
) -> None:
    task = load_benchmark("dataset", source=write(tmp_path / "d.jsonl", [row, row]), **options)
    with pytest.raises(ValueError, match=rf"all of its 2 records are left out \({why}\)"):
        task.problems("train")


def test_questions_that_are_missing_are_counted_too(tmp_path: Path) -> None:
    rows = [{"problem": "  ", "answer": "1"}, {"problem": "q", "answer": float("nan")}, {"problem": "r", "answer": 2}]
    task = load_benchmark("dataset", source=write(tmp_path / "d.jsonl", rows))
    assert left_out(task, "train") == {"no_question": 1, "no_answer": 1}


def test_another_column_does_not_stand_in_for_a_missing_gold(tmp_path: Path) -> None:
    rows = [
        {"problem": "q", "answer": "1", "solution": "so it is 1"},
        {"problem": "r", "answer": None, "solution": "we add 1 and 1"},
    ]
    task = load("dataset", source=write(tmp_path / "d.jsonl", rows))
    assert [p.answer for p in task.problems("train")] == ["1"]
    assert left_out(task, "train") == {"no_answer": 1}


def test_any_data_set_as_a_benchmark_keeps_problems_that_occur_twice(tmp_path: Path) -> None:
    source = write(tmp_path / "d.jsonl", TWICE)
    assert [p.answer for p in load("dataset", source=source).problems("train")] == ["0", "1", "2"]
    problems = load_benchmark("dataset", source=source).problems("train")
    assert [p.answer for p in problems] == ["0", "1", "2", "0", "1"]
    assert len({p.id for p in problems}) == 5


def test_a_training_task_as_a_benchmark_keeps_questions_with_two_golds(tmp_path: Path) -> None:
    rows = [{"problem": "q", "solution": "\\boxed{1}"}, {"problem": "q", "solution": "\\boxed{2}"}]
    task = load_benchmark("math", source=write(tmp_path / "m.jsonl", rows))
    assert [p.answer for p in task.problems("train")] == ["1", "2"]
    assert left_out(task, "train") == {}


def test_the_sides_of_a_holdout_share_no_problem_for_a_benchmark_either(tmp_path: Path) -> None:
    rows = [{"problem": f"q{i % 10}", "answer": str(i % 10)} for i in range(20)]
    source = write(tmp_path / "d.jsonl", rows)
    held = {p.text for p in load_benchmark("dataset", source=source, holdout=4).problems("validation")}
    trained = {p.text for p in load("dataset", source=source, holdout=4).problems("train")}
    assert (len(held), len(trained), held & trained) == (4, 6, set())
    assert left_out(load_benchmark("dataset", source=source, holdout=4), "validation") == {"duplicate": 10}


def test_a_counter_behind_an_id_does_not_make_it_another_records_id(tmp_path: Path) -> None:
    rows = [{"id": name, "problem": f"q{i}", "answer": "1"} for i, name in enumerate(["a", "a", "a-2", "a"])]
    task = load_benchmark("dataset", source=write(tmp_path / "d.jsonl", rows))
    assert [p.id for p in task.problems("train")] == ["dataset-a", "dataset-a-3", "dataset-a-2", "dataset-a-4"]


def test_a_task_that_keeps_no_account_leaves_out_nothing() -> None:
    assert left_out(load_benchmark("story_counts"), "test") == {}


def test_an_object_as_a_gold_is_refused_with_its_record_and_fields(tmp_path: Path) -> None:
    rows = [{"problem": "q", "answer": "1"}, {"problem": "r", "answer": {"value": "2", "unit": "m"}}]
    source = write(tmp_path / "d.jsonl", rows)
    with pytest.raises(
        ValueError, match=r"record 2: expected text in the column answer, got an object with value, uni"
    ):
        load("dataset", source=source).problems("train")
    nested = write(tmp_path / "n.jsonl", rows[1:])
    task = load("dataset", source=nested, fields={"answer": "answer.value"})
    assert [p.answer for p in task.problems("train")] == ["2"]


def test_objects_in_a_list_of_golds_and_bytes_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"got an object with value: name the field that holds it, such as answer\.val"
    ):
        gold_text(["1", {"value": "2"}])
    with pytest.raises(ValueError, match="got 3 bytes"):
        gold_text(b"abc")


def test_a_list_of_golds_leaves_out_what_is_missing() -> None:
    assert gold_text(["1", None, 2.0]) == "1, 2"
    assert gold_text([None]) == ""


def test_an_object_as_a_question_is_refused() -> None:
    with pytest.raises(ValueError, match="expected text in the column problem, got an object with text"):
        question_text({"text": "What?"}, "problem")
    with pytest.raises(ValueError, match="expected text or a list of chat messages in the column problem"):
        question_text(["What?", "Why?"], "problem")


def test_the_parts_of_a_message_are_its_text() -> None:
    parts = [{"type": "text", "text": "What is"}, {"type": "text", "text": "1 + 1?"}]
    assert question_text([{"role": "user", "content": parts}]) == "What is\n1 + 1?"


def test_a_csv_says_truth_in_words(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    path.write_text("problem,answer,is_multiple_answer\nq,1,False\nr,2,True\n")
    problems = load("olympiadbench", source=str(path), rows="any").problems("test")
    assert [p.metadata.get("has_parts", False) for p in problems] == [False, True]
