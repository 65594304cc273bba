"""Step-error data: 0-based labels become step numbers, what cannot count is counted, bad files name the line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mel.evaluate.step_errors import NO_ERROR, load_step_errors, pair_of

PAIR = {
    "source": "hand", "id": "a", "question": "2 + 3 + 4?", "first_wrong": 1,
    "incorrect_steps": ["2 + 3 = 5", "5 + 4 = 8"], "correct_steps": ["2 + 3 = 5", "5 + 4 = 9"],
}  # fmt: skip
BENCH = {
    "id": "b", "problem": "1 + 1?", "steps": ["1 + 1 = 3", "so 3"], "label": 0, "final_answer_correct": False,
}  # fmt: skip


def write(path: Path, *records: Mapping[str, Any]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def test_labels_count_from_zero_in_files_and_steps_from_one_here(tmp_path: Path) -> None:
    right = {**BENCH, "id": "c", "label": -1}
    found = load_step_errors(write(tmp_path / "gsm8k.jsonl", PAIR, BENCH, right)).solutions
    assert [one.first_wrong for one in found] == [2, 1, NO_ERROR]
    assert [one.is_wrong for one in found] == [True, True, False]
    assert [one.id for one in found] == ["hand/a", "gsm8k/b", "gsm8k/c"]
    assert found[0].right_steps == ("2 + 3 = 5", "5 + 4 = 9")
    assert found[1].right_steps == ()


def test_a_published_list_and_a_compressed_file_read_alike(tmp_path: Path) -> None:
    whole, packed = tmp_path / "x.json", tmp_path / "y.jsonl.gz"
    whole.write_text(json.dumps([BENCH, BENCH | {"id": "c"}]))
    packed.write_bytes(gzip.compress(f"{json.dumps(BENCH)}\n{json.dumps(BENCH | {'id': 'c'})}\n".encode()))
    first, second = (load_step_errors(str(path)).solutions for path in (whole, packed))
    assert [(s.problem, s.steps, s.first_wrong) for s in first] == [(s.problem, s.steps, s.first_wrong) for s in second]


def test_a_solution_beside_two_right_ones_weighs_as_much_as_one_beside_one(tmp_path: Path) -> None:
    again = {**PAIR, "correct_steps": ["3 + 4 = 7", "7 + 2 = 9"]}
    data = load_step_errors(write(tmp_path / "x.jsonl", PAIR, again, {**PAIR, "id": "z"}))
    assert [one.weight for one in data.solutions] == [0.5, 0.5, 1.0]
    assert [one.id for one in data.solutions] == ["hand/a", "hand/a#2", "hand/z"]
    alone = data.alone()
    assert [(one.id, one.weight, one.right_steps) for one in alone.solutions] == [("hand/a", 1, ()), ("hand/z", 1, ())]
    assert alone.skipped == {"same_solution": 1}


def test_records_that_cannot_count_are_counted_by_reason(tmp_path: Path) -> None:
    odd = [{**BENCH, "steps": []}, {**BENCH, "label": None}, {**BENCH, "label": 2}, {**BENCH, "label": -2}]
    data = load_step_errors(write(tmp_path / "x.jsonl", PAIR, PAIR, BENCH, *odd))
    assert data.skipped == {"repeated": 1, "no_steps": 1, "no_label": 1, "label_beyond_steps": 2}
    beside = data.with_right()
    assert [one.id for one in beside.solutions] == ["hand/a"]
    assert beside.skipped["no_right_solution"] == 1


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"id": "b", "problem": "x", "steps": ["y"]}, "expected a column label or first_wrong; got id, problem, steps"),
        ({**BENCH, "label": "one"}, "expected the label as a whole number, the 0-based position"),
        ({**BENCH, "label": True}, "expected the label as a whole number"),
        ({**BENCH, "steps": "1 + 1 = 3"}, "expected a list of texts in steps or incorrect_steps; got '1 + 1 = 3'"),
        ({**BENCH, "steps": ["a", 2]}, "expected a list of texts"),
        ({**BENCH, "correct_steps": "9"}, "expected a list of texts in correct_steps"),
        ({**BENCH, "problem": None}, "expected the problem as text; got None"),
    ],
)
def test_a_record_of_another_form_is_refused_with_file_and_line(
    record: Mapping[str, Any], said: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "x.jsonl", PAIR, record)
    with pytest.raises(ValueError) as error:
        load_step_errors(path)
    assert str(error.value).startswith(f"{path}, line 2: {said}")
    assert "\n" not in str(error.value)


def test_a_line_that_is_no_json_and_a_file_without_any_solution_are_refused(tmp_path: Path) -> None:
    broken = tmp_path / "x.jsonl"
    broken.write_text(json.dumps(BENCH) + "\n{'label': 1\n")
    with pytest.raises(ValueError, match=r"x\.jsonl, line 2: expected JSON"):
        load_step_errors(str(broken))
    with pytest.raises(
        ValueError, match=r"expected at least one solution with a labelled step; skipped \{'no_steps': 1\}"
    ):
        load_step_errors(write(tmp_path / "y.jsonl", {**BENCH, "steps": []}))


def test_the_steps_of_a_pair_are_those_of_the_record_whatever_they_hold(tmp_path: Path) -> None:
    steps = ["First.\n\nStill the first.", "Second."]
    (one,) = load_step_errors(write(tmp_path / "x.jsonl", {**PAIR, "incorrect_steps": steps})).solutions
    pair = pair_of(one)
    assert [pair.wrong.text[s.start : s.end] for s in pair.wrong_steps] == steps
    assert [s.number for s in pair.wrong_steps] == [1, 2]
    assert [pair.right.text[s.start : s.end] for s in pair.right_steps] == PAIR["correct_steps"]
