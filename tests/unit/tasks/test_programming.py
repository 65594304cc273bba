"""Tasks of programming: records become problems whose reference program is right and whose mutants are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mel import tasks
from mel.ports import Task
from mel.tasks.humaneval import before
from mel.tasks.programming import as_response
from mel.verify.program_verifier import choose_sandbox

HUMANEVAL = {
    "task_id": "HumanEval/7",
    "prompt": 'import math\n\ndef half(x):\n    return x / 2\n\ndef area(r):\n    """Area of a circle."""\n',
    "entry_point": "area",
    "canonical_solution": "    return math.pi * r * r\n",
    "test": "def check(c):\n    assert abs(c(1) - math.pi) < 1e-6\n    assert half(c(0)) == 0\n",
}
MBPP = {
    "task_id": 11,
    "prompt": "Write a function to add two numbers.",
    "code": "def one(): return 1\ndef add(a, b):\n    return a + b",
    "test_imports": ["import math"],
    "test_list": ["assert add(1, 2) == 3", "assert math.isclose(add(0.1, 0.2), 0.3)"],
}
STREAM = {
    "prompt": "Print the sum.",
    "inputs": ["1 2", "3 4"],
    "outputs": ["3", "7"],
    "solution": "print(sum(map(int, input().split())))",
}
CALLS = {"prompt": "Negate.", "entry_point": "neg", "tests": "assert neg(1) == -1\nassert neg(0) == 0", "id": "n"}


@pytest.fixture(scope="module", autouse=True)
def _has_sandbox():
    try:
        choose_sandbox()
    except ValueError as error:
        pytest.skip(str(error))


def write(path: Path, *records: dict) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def judged(task: Task, problem, program: str) -> str:
    return task.verify([problem], [as_response(program)])[0].reason


def test_humaneval_judges_with_the_helpers_of_its_prompt_and_gives_them_to_the_program(tmp_path: Path):
    task = tasks.load("humaneval", source=write(tmp_path / "h.jsonl", HUMANEVAL), rows="any", workers=1)
    (problem,) = task.problems("test")
    assert problem.id == "humaneval-7"
    assert "def area(r)" in problem.text
    programs = [
        problem.answer,
        "def area(r): return math.pi * r ** 2",
        "def area(r): return math.pi * r",
        "def area(r): return 3",
    ]
    found = task.verify([problem] * 4, [as_response(p) for p in programs])
    assert [v.reason for v in found] == ["right", "right", "right", "wrong"]  # r = 1 does not see the power


def test_what_stands_before_a_function_is_all_but_the_function():
    assert before(HUMANEVAL["prompt"], "area") == "import math\n\ndef half(x):\n    return x / 2"
    with pytest.raises(ValueError, match="expected a prompt that ends in a function's head"):
        before("def f(:", "f")


def test_mbpp_shows_one_assertion_and_judges_by_all(tmp_path: Path):
    task = tasks.load("mbpp", source=write(tmp_path / "m.jsonl", MBPP), rows="any", workers=1)
    (problem,) = task.problems("train")
    assert "add(1, 2) == 3" in problem.text
    assert "isclose" not in problem.text
    assert judged(task, problem, problem.answer) == "right"
    assert judged(task, problem, "def add(a, b): return 3") == "wrong"
    hidden = tasks.load("mbpp", source=write(tmp_path / "m.jsonl", MBPP), rows="any", shown_tests=0).problems("train")[
        0
    ]
    assert hidden.text == "Write a function to add two numbers. Call it add."


def test_programs_reads_calls_and_streams_by_a_map_of_fields(tmp_path: Path):
    renamed = {"question": "Print the sum.", "io": {"in": STREAM["inputs"], "out": json.dumps(STREAM["outputs"])}}
    path = write(tmp_path / "p.jsonl", STREAM, CALLS, {"prompt": ""}, {"prompt": "Nothing to judge by."})
    task = tasks.load("programs", source=path, workers=1)
    stream, calls = task.problems("train")
    assert (stream.id.startswith("programs-"), calls.id) == (True, "programs-n")
    assert task.loaded("train").dropped == {"no_question": 1, "no_answer": 1}
    assert judged(task, stream, STREAM["solution"]) == "right"
    assert judged(task, stream, "print(3)") == "wrong"
    assert judged(task, calls, "def neg(x): return -x") == "right"
    mapped = tasks.load(
        "programs",
        source=write(tmp_path / "q.jsonl", renamed),
        fields={"prompt": "question", "inputs": "io.in", "outputs": "io.out"},
    )
    assert mapped.problems("train")[0].metadata["tests"] == stream.metadata["tests"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tests": "assert f()", "entry_point": "f"}, "expected tests or inputs with outputs, got both"),
        ({"outputs": ["3"]}, "expected one output per input, got 2 inputs and 1 outputs"),
        ({"inputs": None, "outputs": None, "tests": "assert f()"}, "name of the function that the tests call"),
    ],
)
def test_a_record_that_cannot_judge_is_refused_with_its_number(tmp_path: Path, change: dict, message: str):
    path = write(tmp_path / "p.jsonl", STREAM, {**STREAM, "prompt": "Another.", **change})
    with pytest.raises(ValueError, match=rf"record 2: .*{message}"):
        tasks.load("programs", source=path).problems("train")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("programs", {"source": "x.jsonl", "fields": {"question": "q"}}, "fields takes prompt, id, .*; got question"),
        ("programs", {"source": "x.jsonl", "reward": "half"}, "expected reward to be right or share, got 'half'"),
        ("programs", {"source": "x.jsonl", "timeout_s": 0.0}, "expected timeout_s > 0"),
        ("mbpp", {"shown_tests": -1}, "expected shown_tests >= 0, got -1"),
        ("humaneval", {"sandbox": "docker"}, "sandbox: expected auto, sandlock"),
    ],
)
def test_an_option_that_no_task_takes_is_refused(name: str, options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        tasks.load(name, **options)
