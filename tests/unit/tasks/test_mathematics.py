from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

pytest.importorskip("datasets")
pytest.importorskip("pebble")

from mel.tasks import load
from mel.tasks.columns import extractor
from mel.tasks.mathematics import MathTask

DATA = Path(__file__).parents[4] / "shared" / "data"
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="needs the development data beside the checkout (../shared/data)"
)

BENCHMARK_ROWS = {"aime24": 30, "aime25": 30, "amc23": 40, "math500": 500, "olympiadbench": 675}


def task(name: str, **options: object) -> MathTask:
    found = load(name, **options)
    assert isinstance(found, MathTask)
    return found


def write(path: Path, rows: list[Mapping[str, object]]) -> str:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return str(path)


ROWS: list[Mapping[str, object]] = [
    {"problem": "What is 1 + 1?", "answer": "2"},
    {"problem": "What is  1 + 1? ", "answer": "2"},
    {"problem": "What is 2 + 2?", "answer": "4"},
    {"problem": "What is 2 + 2?", "answer": "5"},
    {"problem": "三加三是多少?", "answer": "6"},
    {"problem": "", "answer": "7"},
    {"problem": "What is nothing?", "answer": ""},
]


def test_repeats_and_contradictions_are_dropped_and_counted(tmp_path: Path) -> None:
    loaded = task("dapo_math", source=write(tmp_path / "rows.jsonl", ROWS)).loaded("train")
    assert [p.answer for p in loaded.problems] == ["2", "6"]
    assert (loaded.records, loaded.unique, loaded.conflicts) == (7, 3, 1)
    assert loaded.dropped == {"duplicate": 2, "conflicting_gold": 1, "no_question": 1, "no_answer": 1}


@pytest.mark.parametrize(("language", "answers"), [("en", ["2"]), ("zh", ["6"]), ("all", ["2", "6"])])
def test_the_language_filter_is_counted(tmp_path: Path, language: str, answers: list[str]) -> None:
    loaded = task("dapo_math", source=write(tmp_path / "rows.jsonl.gz", ROWS), language=language).loaded("train")
    assert [p.answer for p in loaded.problems] == answers
    assert loaded.dropped.get("language", 0) == 2 - len(answers)


def test_a_holdout_is_disjoint_stable_under_reordering_and_counted(tmp_path: Path) -> None:
    rows = [{"problem": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(20)]
    forward = task("dapo_math", source=write(tmp_path / "a.jsonl", rows), holdout=5)
    backward = task("dapo_math", source=write(tmp_path / "b.jsonl", rows[::-1]), holdout=5)
    held = {p.text for p in forward.problems("validation")}
    assert len(held) == 5
    assert held == {p.text for p in backward.problems("validation")}
    assert held.isdisjoint(p.text for p in forward.problems("train"))
    assert forward.loaded("train").dropped == {"held_out": 5}


def test_the_hubs_dapo_wrapper_is_taken_off(tmp_path: Path) -> None:
    wrapped = (
        "Solve the following math problem step by step. The last line of your response should be of the form "
        "Answer: $Answer (without quotes) where $Answer is the answer to the problem.\n\n"
        "What is $1+1$?\n\nRemember to put your "
        'answer on its own line after "Answer:".'
    )
    row = {"prompt": [{"role": "user", "content": wrapped}], "reward_model": {"ground_truth": "2", "style": "rule"}}
    problem = task("dapo_math", source=write(tmp_path / "hub.jsonl", [row])).problems("train")[0]
    assert (problem.text, problem.answer) == ("What is $1+1$?", "2")


def test_gsm8k_gold_follows_the_hashes(tmp_path: Path) -> None:
    rows = [{"question": "How many?", "answer": "48/2 = <<48/2=24>>24\n#### 1,224"}]
    gsm8k = task("gsm8k", source=write(tmp_path / "train.jsonl", rows))
    problem = gsm8k.problems("train")[0]
    assert problem.answer == "1,224"
    responses = ["so\n#### 1224", r"\boxed{1224}", "it is 1224"]
    assert [v.reason for v in gsm8k.verify([problem] * 3, responses)] == ["right", "right", "no_final_answer"]


def test_math_gold_is_the_last_box_of_the_solution(tmp_path: Path) -> None:
    rows = [
        {"problem": "x?", "solution": r"First $\boxed{1}$; no: $\boxed{\frac{1}{2}}$."},
        {"problem": "y?", "solution": "-"},
    ]
    loaded = task("math", source=write(tmp_path / "math.jsonl", rows)).loaded("train")
    assert [p.answer for p in loaded.problems] == [r"\frac{1}{2}"]
    assert loaded.dropped == {"no_answer": 1}


def test_any_data_set_is_a_task_with_a_field_map(tmp_path: Path) -> None:
    rows = [{"q": "How many?", "out": {"text": "I say: <12>"}}]
    found = task(
        "dataset",
        source=write(tmp_path / "own.jsonl", rows),
        fields={"question": "q", "answer": "out.text"},
        extractor="<(.+?)>",
        label="own",
    ).problems("train")
    assert [(p.text, p.answer) for p in found] == [("How many?", "12")]
    assert found[0].id.startswith("own-")


def test_jsonl_parquet_and_a_saved_directory_hold_the_same_problems(tmp_path: Path) -> None:
    import datasets

    rows = [{"problem": f"What is {i}?", "answer": str(i)} for i in range(4)]
    plain = write(tmp_path / "rows.jsonl", rows)
    table = datasets.Dataset.from_list(list(map(dict, rows)))
    table.to_parquet(str(tmp_path / "rows.parquet"))
    table.save_to_disk(str(tmp_path / "saved"))
    found = [
        task("dataset", source=s).problems("train") for s in (plain, f"{tmp_path}/rows.parquet", f"{tmp_path}/saved")
    ]
    assert found[0] == found[1] == found[2]


def test_a_path_with_split_names_one_file_per_split(tmp_path: Path) -> None:
    for split, answer in (("train", "1"), ("test", "2")):
        write(tmp_path / f"d_{split}.jsonl", [{"question": "q", "answer": f"#### {answer}"}])
    gsm8k = task("gsm8k", source=f"{tmp_path}/d_{{split}}.jsonl", rows="any")
    assert [gsm8k.problems(split)[0].answer for split in ("train", "test")] == ["1", "2"]


def test_a_single_file_is_no_second_split(tmp_path: Path) -> None:
    gsm8k = task("gsm8k", source=write(tmp_path / "d.jsonl", [{"question": "q", "answer": "#### 1"}]))
    with pytest.raises(ValueError, match="expected a split among train; got 'test'"):
        gsm8k.problems("test")


def test_a_benchmark_of_another_size_is_refused_unless_it_is_meant(tmp_path: Path) -> None:
    source = write(tmp_path / "aime.jsonl", [{"problem": "q", "answer": "033"}])
    with pytest.raises(ValueError, match="expected the published 30 rows in split 'test', found 1"):
        task("aime24", source=source).problems("test")
    assert len(task("aime24", source=source, rows="any").problems("test")) == 1
    assert len(task("aime24", source=source, rows=1).problems("test")) == 1


def test_a_benchmark_keeps_every_published_problem(tmp_path: Path) -> None:
    rows = [{"problem": "same", "answer": "1"}, {"problem": "same", "answer": "2"}]
    found = task("amc23", source=write(tmp_path / "amc.jsonl", rows), rows=2).problems("test")
    assert [p.answer for p in found] == ["1", "2"]
    assert len({p.id for p in found}) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "/nowhere/d.jsonl"}, "no such file"),
        ({"source": "x.jsonl", "fields": {"problem": "q"}}, "fields takes question and answer, got problem"),
        ({"source": "x.jsonl", "extractor": "("}, "extractor: expected"),
        ({"source": "x.jsonl", "extractor": "no group"}, "one group"),
        ({"source": "x.jsonl", "language": "fr"}, "expected language"),
        ({"source": "x.jsonl", "holdout": -1}, "holdout"),
        ({"source": "x.jsonl", "rows": "many"}, "a number or 'any'"),
    ],
)
def test_what_cannot_be_loaded_is_refused_with_what_was_expected(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task("dataset", **options).problems("train")


def test_a_missing_column_is_named_with_those_there(tmp_path: Path) -> None:
    source = write(tmp_path / "d.jsonl", [{"ask": "q", "answer": "1"}])
    with pytest.raises(ValueError, match=r"question in column problem or question or prompt.*has answer, ask"):
        task("dataset", source=source).problems("train")


@pytest.mark.parametrize(
    ("name", "text", "gold"),
    [
        ("text", " 5 ", "5"),
        ("boxed", r"\boxed{5}", "5"),
        ("hashes", "a #### b\n#### 5", "5"),
        ("hashes", "5", None),
        (r"is (\d+)", "is 4, is 5", "5"),
        (r"is (\d+)", "5", None),
    ],
)
def test_extractors_find_the_last_mark(name: str, text: str, gold: str | None) -> None:
    assert extractor(name)(text) == gold


@needs_data
def test_dapo_has_the_published_counts() -> None:
    loaded = task("dapo_math", source=str(DATA / "train/dapo_math_17k.jsonl.gz")).loaded("train")
    assert (loaded.records, loaded.unique, loaded.conflicts) == (17_917, 17_188, 12)
    assert loaded.dropped == {"duplicate": 729, "conflicting_gold": 12}
    assert len(loaded.problems) == 17_176


@needs_data
@pytest.mark.parametrize("name", BENCHMARK_ROWS)
def test_benchmarks_load_whole_and_accept_their_own_answers(name: str) -> None:
    benchmark = task(name, source=str(DATA / f"benchmarks/{name}.jsonl"))
    problems = benchmark.problems("test")
    assert len(problems) == len({p.id for p in problems}) == BENCHMARK_ROWS[name]
    some = problems[:: max(1, len(problems) // 40)]
    verdicts = benchmark.verify(some, [f"\\boxed{{{p.answer.replace('$', ' ')}}}" for p in some])
    assert [p.id for p, v in zip(some, verdicts, strict=True) if not v.is_correct] == []


@needs_data
def test_olympiadbench_knows_units_tolerances_and_several_answers() -> None:
    problems = task("olympiadbench", source=str(DATA / "benchmarks/olympiadbench.jsonl")).problems("test")
    assert sum(bool(p.metadata.get("has_parts")) for p in problems) == 94
    assert sum(bool(p.metadata.get("unit")) for p in problems) == 8
    assert [p.metadata["tolerance"] for p in problems if "tolerance" in p.metadata] == [0.1]
