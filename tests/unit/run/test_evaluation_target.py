"""What `mel eval` is asked for, and responses of somebody else from the command to the table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

pytest.importorskip("datasets")

from mel.evaluate.result import read_result
from mel.run.evaluation.command import score_responses
from mel.run.evaluation.target import Target, benchmark_suites, evaluation_recipe

Rows = Sequence[Mapping[str, object]]
ROWS: Rows = [{"problem": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(4)]


def write(path: Path, rows: Rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_comma_may_stand_in_the_path_of_a_benchmark(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a,b" / "c,d.jsonl", ROWS), write(tmp_path / "e.jsonl", ROWS)
    suites = benchmark_suites(f"dataset={first}, math={second},aime24")
    assert [(s.task, s.options.get("source")) for s in suites] == [
        ("dataset", str(first)),
        ("math", str(second)),
        ("aime24", None),
    ]


def test_a_comma_in_a_path_with_a_split_belongs_to_it_too(tmp_path: Path) -> None:
    write(tmp_path / "a,b_test.jsonl", ROWS)
    (suite,) = benchmark_suites(f"gsm8k={tmp_path}/a,b_{{split}}.jsonl")
    assert suite.options["source"] == f"{tmp_path}/a,b_{{split}}.jsonl"


def test_a_wrong_name_after_a_path_is_still_a_wrong_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got 'aime42'"):
        benchmark_suites(f"dataset={write(tmp_path / 'd.jsonl', ROWS)},aime42")


def scored(tmp_path: Path, rows: Rows, responses: Rows) -> tuple[str, Path]:
    source = write(tmp_path / "problems.jsonl", rows)
    given = write(tmp_path / "given.jsonl", responses)
    target = Target.of("theirs")
    recipe = evaluation_recipe(target, None, benchmark_suites(f"dataset={source}"))
    console = Console(file=StringIO(), width=200)
    out = score_responses(recipe, target, given, output=tmp_path / "out", look_for_overlap=False, console=console)
    return console.file.getvalue(), out / "evaluations" / "dataset"  # type: ignore[attr-defined]


def test_problems_that_a_benchmark_lacks_are_said_with_its_score(tmp_path: Path) -> None:
    rows = [*ROWS, {"problem": "What is 9 + 9?", "answer": None}, {"problem": "What is 8 + 8?", "answer": ""}]
    given = [{"question": row["problem"], "response": f"\\boxed{{{row['answer']}}}"} for row in ROWS]
    text, out = scored(tmp_path, rows, given)
    said = "2 records of the source are no problems and do not count (no answer 2)"
    assert said in " ".join(text.split())
    assert read_result(out).left_out == {"no_answer": 2}
    assert f"{said}." in (out / "result.md").read_text()


def test_problems_that_a_benchmark_holds_twice_count_twice(tmp_path: Path) -> None:
    rows = [*ROWS, ROWS[0]]
    given = [{"question": row["problem"], "response": "\\boxed{1}"} for row in rows]
    text, out = scored(tmp_path, rows, given)
    result = read_result(out)
    # The first problem, whose answer is 1, is there twice: 2 of 5.
    assert (result.problems, result.average_at_k and result.average_at_k.value) == (5, 0.4)
    assert "wrong 3, right 2" in text
