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
    (problem,) = task.problems("test")
    assert "add(1, 2) == 3" in problem.text
    assert "isclose" not in problem.text
    assert judged(task, problem, problem.answer) == "right"
    assert judged(task, problem, "def add(a, b): return 3") == "wrong"
    hidden = tasks.load("mbpp", source=write(tmp_path / "m.jsonl", MBPP), rows="any", shown_tests=0).problems("test")[0]
    assert hidden.text == "Write a function to add two numbers. Call it add."


def test_a_file_of_mbpp_serves_the_published_splits_by_the_ids_of_its_problems(tmp_path: Path):
    ids = [2, 10, 11, 510, 511, 600, 601, 974, "mine"]
    path = write(tmp_path / "m.json", *({**MBPP, "task_id": n, "prompt": f"Add, number {n}."} for n in ids))
    task = tasks.load("mbpp", source=path, rows="any")
    assert {split: [p.id for p in task.problems(split)] for split in ("prompt", "test", "validation", "train")} == {
        "prompt": ["mbpp-2", "mbpp-10"],
        "test": ["mbpp-11", "mbpp-510"],
        "validation": ["mbpp-511", "mbpp-600"],
        "train": ["mbpp-601", "mbpp-974", "mbpp-mine"],
    }
    alone = tasks.load("mbpp", source=write(tmp_path / "one.jsonl", MBPP), rows="any")
    with pytest.raises(ValueError, match=r"expected records of split 'train'; by their ids all 1 belong to test"):
        alone.problems("train")


def as_on_the_hub(directory: Path, folders: dict[str, dict], default: str = "") -> str:
    """A clone of a data set's repository: a folder of Parquet files per configuration, which its card lists."""
    import pyarrow
    from pyarrow import parquet

    card = ["---", "configs:"]
    for folder, files in folders.items():
        (directory / folder).mkdir(parents=True)
        card += [f"- config_name: {folder}", *(["  default: true"] if folder == default else []), "  data_files:"]
        for split, record in files.items():
            file = f"{folder}/{split}-00000-of-00001.parquet"
            parquet.write_table(pyarrow.Table.from_pylist([record]), directory / file)
            card += [f"  - split: {split}", f"    path: {file}"]
    (directory / "README.md").write_text("\n".join([*card, "---", ""]))
    return str(directory)


def test_a_clone_of_the_hubs_data_sets_is_read_as_the_files_are(tmp_path: Path):
    sanitized = {**MBPP, "source_file": "Benchmark Questions Verification V2.ipynb"}
    full = {"task_id": 602, "text": "Add two numbers.", "code": MBPP["code"], "test_list": MBPP["test_list"][:1],
            "test_setup_code": "", "challenge_test_list": []}  # fmt: skip
    mbpp = as_on_the_hub(tmp_path / "mbpp", {"full": {"train": full}, "sanitized": {"test": sanitized}}, "full")
    humaneval = as_on_the_hub(tmp_path / "humaneval", {"openai_humaneval": {"test": HUMANEVAL}}, "openai_humaneval")
    loaded = [
        tasks.load("mbpp", source=mbpp, config="sanitized", rows="any").problems("test"),
        tasks.load("mbpp", source=mbpp, config="full", rows="any").problems("train"),
        tasks.load("humaneval", source=humaneval, rows="any").problems("test"),
        tasks.load("humaneval", rows="any", source=f"{humaneval}/openai_humaneval/test-00000-of-00001.parquet")
        .problems("test"),
        tasks.load("programs", source=mbpp, config="sanitized", splits={"train": "test"},
                   fields={"solution": "code", "tests": "test_list", "id": "task_id"}).problems("train"),
    ]  # fmt: skip
    assert [p.id for (p,) in loaded] == ["mbpp-11", "mbpp-602", "humaneval-7", "humaneval-7", "programs-11"]
    file = tasks.load("mbpp", source=write(tmp_path / "m.jsonl", MBPP), rows="any").problems("test")
    assert loaded[0] == file


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
    # Several published sets hold their inputs and outputs as one text in JSON.
    as_text = {**renamed, "io": json.dumps(renamed["io"]), "question": "Print the sum of both."}
    mapped = tasks.load(
        "programs",
        source=write(tmp_path / "q.jsonl", renamed, as_text),
        fields={"prompt": "question", "inputs": "io.in", "outputs": "io.out"},
    )
    assert [p.metadata["tests"] for p in mapped.problems("train")] == [stream.metadata["tests"]] * 2


def test_without_an_entry_point_the_tests_call_what_the_solution_defines(tmp_path: Path):
    record = {**CALLS, "entry_point": None, "solution": "def one(): return 1\ndef neg(x): return -x * one()"}
    (problem,) = tasks.load("programs", source=write(tmp_path / "p.jsonl", record)).problems("train")
    assert problem.metadata["tests"]["names"] == ["neg"]


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
