"""Responses that somebody else generated: their files, which problem each answers, what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

pytest.importorskip("datasets")

from mel.evaluate.given import score
from mel.evaluate.readers import read_given
from mel.evaluate.result import EvaluationResult
from mel.types import Problem, Verdict

PROBLEMS = [
    Problem(id="aime24-60", text="Find the sum of 1 and 2.", answer="3"),
    Problem(id="aime24-61", text="Find the sum of 1 and 2 and 3.", answer="6"),
    Problem(id="aime24-62", text="What is $\\frac{4}{2}$?", answer="2"),
]


class Exactly:
    """Right if the response is the answer."""

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        return [
            Verdict(is_correct=r == p.answer, reason="right" if r == p.answer else "wrong")
            for p, r in zip(problems, responses, strict=True)
        ]


def lines(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def scored(path: Path, problems: Sequence[Problem] = PROBLEMS) -> EvaluationResult:
    return score(problems, Exactly(), path, out=path.parent / "out")


def right(result: EvaluationResult) -> dict[str, tuple[bool | None, int, int]]:
    return {s.problem: (s.greedy, s.correct, s.samples) for s in result.scores}


def test_samples_of_lm_eval_are_scored_by_the_text_of_their_documents(tmp_path: Path) -> None:
    # Greedy decoding, one response a document, each document once per filter.
    rows = [
        {
            "doc_id": number,
            "doc": {"id": 7 + number, "question": p.text, "answer": p.answer},
            "target": p.answer,
            "arguments": {"gen_args_0": {"arg_0": f"Q: {p.text}\nA:", "arg_1": {"do_sample": False, "until": ["Q:"]}}},
            "resps": [[p.answer if number else "no idea"]],
            "filtered_resps": ["[invalid]"],
            "filter": kind,
            "exact_match": 0.0,
        }
        for kind in ("strict-match", "flexible-extract")
        for number, p in enumerate(PROBLEMS)
    ]
    result = scored(lines(tmp_path / "samples_gsm8k_2026-01-01.jsonl", rows))
    assert right(result) == {"aime24-60": (False, 0, 0), "aime24-61": (True, 0, 0), "aime24-62": (True, 0, 0)}
    assert result.pass_at_1 is not None
    assert result.pass_at_1.value == pytest.approx(2 / 3)


def test_repeated_samples_of_lm_eval_are_samples_and_are_found_by_a_chat_prompt(tmp_path: Path) -> None:
    example = f"{PROBLEMS[0].text} -> 3"
    rows = [
        {
            "doc_id": number,
            "doc": {"idx": number},
            "arguments": [
                [
                    json.dumps([{"role": "user", "content": f"{example}\n{p.text}"}]),
                    {"do_sample": True, "temperature": 1},
                ]
            ],
            "resps": [[p.answer, "no"]],
        }
        for number, p in enumerate(PROBLEMS)
    ]
    result = scored(lines(tmp_path / "samples.jsonl", rows))
    assert right(result) == {p.id: (None, 1, 2) for p in PROBLEMS}


def test_the_likelihoods_of_a_choice_are_no_responses(tmp_path: Path) -> None:
    path = lines(tmp_path / "samples.jsonl", [{"doc": {"q": "?"}, "resps": [[[-1.5, False]]], "arguments": []}])
    with pytest.raises(ValueError, match=r"samples\.jsonl, line 1: expected generated text in resps; got"):
        scored(path)


def test_details_of_lighteval_are_scored(tmp_path: Path) -> None:
    import datasets

    rows = [
        {
            "doc": {"query": f"Solve.\n\n{p.text}\n", "choices": [p.answer], "id": str(number)},
            "metric": {"extractive_match": 0.0},
            "model_response": {"text": [p.answer, "no", p.answer], "input": "..."},
        }
        for number, p in enumerate(PROBLEMS)
    ]
    path = tmp_path / "details_lighteval|aime24|0_2026-01-01T00-00-00.parquet"
    datasets.Dataset.from_list(rows).to_parquet(str(path))
    assert right(scored(path)) == {p.id: (None, 2, 3) for p in PROBLEMS}


@pytest.mark.parametrize("is_text", [False, True])
def test_details_of_older_lighteval_are_scored_also_where_all_columns_are_text(is_text: bool, tmp_path: Path) -> None:
    import datasets

    rows = [{"example": p.text, "full_prompt": f"Solve. {p.text}", "predictions": [p.answer]} for p in PROBLEMS]
    if is_text:
        rows = [{name: str(value) for name, value in row.items()} for row in rows]
    path = tmp_path / "details.parquet"
    datasets.Dataset.from_list(rows).to_parquet(str(path))
    assert right(scored(path)) == {p.id: (None, 1, 1) for p in PROBLEMS}


def test_a_validation_dump_of_verl_is_scored_by_the_problem_within_its_prompt(tmp_path: Path) -> None:
    rows = [
        {
            "input": f"system\nuser\n{p.text}  Box it.\nassistant\n",
            "output": p.answer,
            "gts": "0",
            "score": 0.0,
            "step": 5,
        }
        for p in PROBLEMS
        for _ in range(2)
    ]
    assert right(scored(lines(tmp_path / "5.jsonl", rows))) == {p.id: (None, 2, 2) for p in PROBLEMS}


def test_responses_with_foreign_ids_are_matched_by_the_problem_beside_them(tmp_path: Path) -> None:
    rows = [{"id": n, "problem": f" {p.text} ", "response": p.answer} for n, p in enumerate(PROBLEMS)]
    assert right(scored(lines(tmp_path / "d.jsonl", rows))) == {p.id: (None, 1, 1) for p in PROBLEMS}


def test_problems_that_ask_the_same_take_turns(tmp_path: Path) -> None:
    problems = [Problem(id="a", text="same", answer="1"), Problem(id="b", text="same", answer="2")]
    rows = [{"question": "same", "response": text} for text in ("1", "2")]
    assert right(scored(lines(tmp_path / "d.jsonl", rows), problems)) == {"a": (None, 1, 1), "b": (None, 1, 1)}


def test_an_id_that_contradicts_the_text_beside_it_is_refused(tmp_path: Path) -> None:
    # Numbered from 61 by somebody, while ours begin at 60.
    rows = [
        {"id": f"aime24-{60 + (n + 1) % 3}", "question": p.text, "response": p.answer} for n, p in enumerate(PROBLEMS)
    ]
    with pytest.raises(
        ValueError, match=r"line 1: expected the problem 'aime24-61' that the id names; the text beside"
    ):
        scored(lines(tmp_path / "d.jsonl", rows))


def test_a_file_that_answers_other_problems_names_one(tmp_path: Path) -> None:
    rows = [{"question": p.text, "response": "1"} for p in [*PROBLEMS, Problem(id="x", text="Why?", answer="")]]
    with pytest.raises(ValueError, match=r"0 have none, 1 ids are unknown \('Why\?'\)"):
        scored(lines(tmp_path / "d.jsonl", rows))


def test_foreign_ids_without_a_text_are_named(tmp_path: Path) -> None:
    rows = [{"id": f"other-{p.id}", "response": p.answer} for p in PROBLEMS]
    with pytest.raises(ValueError, match=r"3 have none \('aime24-60'\), 3 ids are unknown \('other-aime24-60'\)"):
        scored(lines(tmp_path / "d.jsonl", rows))


def test_responses_are_read_from_parquet_csv_and_packed_files(tmp_path: Path) -> None:
    import gzip

    import datasets

    rows = [{"id": p.id, "response": p.answer, "kind": "Greedy"} for p in PROBLEMS]
    datasets.Dataset.from_list(rows).to_parquet(str(tmp_path / "d.parquet"))
    datasets.Dataset.from_list(rows).to_csv(str(tmp_path / "d.csv"))
    packed = tmp_path / "d.jsonl.gz"
    packed.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    for path in (packed, tmp_path / "d.parquet", tmp_path / "d.csv"):
        assert right(score(PROBLEMS, Exactly(), path, out=tmp_path / path.suffix)) == {
            p.id: (True, 0, 0) for p in PROBLEMS
        }


@pytest.mark.parametrize(("word", "kind"), [("Greedy", "greedy"), (" GREEDY", "greedy"), ("Sampled", "sampled")])
def test_the_kind_of_a_response_is_read_whatever_its_case(word: str, kind: str, tmp_path: Path) -> None:
    (given,) = read_given(lines(tmp_path / "d.jsonl", [{"id": "a", "text": "1", "kind": word}]))
    assert given.kind == kind


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "a", "text": "1", "kind": "beam"}, "line 2: expected the kind greedy or sampled; got 'beam'"),
        (
            {"id": "a", "text": "the problem", "response": "1"},
            "line 2: expected one response; text and response differ",
        ),
        ({"id": "a", "completion": "2", "output": "1"}, "line 2: expected one response; completion and output differ"),
        ({"id": "a", "text": None}, "line 2: expected a text in text; got null"),
        ({"id": "a", "response": ["1"]}, r'line 2: expected a text in response; got \["1"\]'),
        ({"text": "1"}, r"line 2: expected a problem id \(problem_id, id or problem\)"),
        ({"id": "a"}, r"line 2: expected a problem id .* got the keys id"),
    ],
)
def test_a_row_that_holds_no_single_response_is_refused_with_its_line(row: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"d\.jsonl, {message}"):
        read_given(lines(tmp_path / "d.jsonl", [{"id": "a", "text": "1"}, row]))


def test_the_same_response_under_two_names_is_one(tmp_path: Path) -> None:
    (given,) = read_given(lines(tmp_path / "d.jsonl", [{"id": "a", "text": "1", "response": "1"}]))
    assert (given.text, given.ids) == ("1", {"id": "a"})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"id": "a", "text": "1"}\n{"id": "a", "text": "caf\xe9"}\n', r"line 2: expected UTF-8, got the byte 0xe9"),
        (b"", "expected at least one record"),
        (b'{"id": "a", "te', "line 1: expected JSON"),
    ],
)
def test_a_file_of_responses_that_cannot_be_read_is_named_with_its_line(
    data: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "theirs").write_bytes(data)
    with pytest.raises(ValueError, match=f"theirs.*{message}"):
        read_given(tmp_path / "theirs")


def test_a_mark_of_byte_order_and_blank_lines_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_bytes(b'\xef\xbb\xbf{"id": "a", "text": "1"}\n\n{"id": "a", "text": "2"}\n\n')
    assert [given.text for given in read_given(tmp_path / "d.jsonl")] == ["1", "2"]


def test_a_directory_of_responses_names_the_files_in_it(tmp_path: Path) -> None:
    lines(tmp_path / "5.jsonl", [{"id": "a", "text": "1"}])
    with pytest.raises(ValueError, match=r"expected a file, got a directory; give a file in it, such as 5\.jsonl"):
        read_given(tmp_path)


def test_columns_of_your_own_do_not_hide_a_row(tmp_path: Path) -> None:
    rows = [{"id": p.id, "text": p.answer, "filter": n, "settings": {"t": n}} for n, p in enumerate(PROBLEMS)]
    assert right(scored(lines(tmp_path / "d.jsonl", rows))) == {p.id: (None, 1, 1) for p in PROBLEMS}


def test_text_that_is_no_list_of_predictions_is_refused_with_its_row(tmp_path: Path) -> None:
    import datasets

    rows = [{"example": "?", "full_prompt": "?", "predictions": "[array(3"}]
    datasets.Dataset.from_list(rows).to_parquet(str(tmp_path / "details.parquet"))
    with pytest.raises(ValueError, match=r"details\.parquet, row 1: "):
        read_given(tmp_path / "details.parquet")
