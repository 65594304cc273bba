"""Records come from a file as they are written in it, or the file and the row are named."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest

pytest.importorskip("datasets")

from mel.tasks import load
from mel.tasks.files import read_file
from mel.tasks.records import load_records
from mel.types import Problem

LONG = 12345678901234567890123  # needs 74 bits
LINE = '{"problem": "q", "answer": "1"}\n'


def problems(source: Path, **options: object) -> list[Problem]:
    return list(load("dataset", source=str(source), **options).problems("train"))


def answers(source: Path, **options: object) -> list[str]:
    return [p.answer for p in problems(source, **options)]


def test_cells_of_a_csv_that_look_like_nothing_are_text(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("problem,answer\n" + "".join(f"q{i},{a}\n" for i, a in enumerate(["NA", "None", "null", "nan"])))
    assert answers(path) == ["NA", "None", "null", "nan"]


def test_cells_of_a_csv_keep_their_digits(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text(f'problem,answer\nq,007\nr,{LONG}\ns,"1,5\nand 2"\nt,3.10\n')
    assert answers(path) == ["007", str(LONG), "1,5\nand 2", "3.10"]


def test_a_directory_of_csv_files_is_read_like_a_single_one(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("problem,answer\nq,NA\n")
    (tmp_path / "test.csv").write_text("problem,answer\nq,None\n")
    task = load("dataset", source=str(tmp_path))
    assert [task.problems(split)[0].answer for split in ("train", "test")] == ["NA", "None"]


def test_integers_beyond_64_bits_are_exact(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(json.dumps({"problem": "q", "answer": LONG}) + "\n")
    assert answers(path) == ["12345678901234567890123"]
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "train.jsonl").write_text(path.read_text())
    assert answers(folder) == ["12345678901234567890123"]


def test_an_integer_that_python_does_not_convert_is_kept_as_its_digits(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text('{"problem": "q", "answer": ' + "7" * 5000 + "}\n")
    assert answers(path) == ["7" * 5000]


def test_a_decimal_number_keeps_the_digits_that_a_float_loses(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text('{"problem": "q", "answer": 0.12345678901234567890123}\n{"problem": "r", "answer": 0.5}\n')
    assert answers(path) == ["0.12345678901234567890123", "0.5"]


def test_a_long_decimal_of_a_parquet_file_is_exact(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"problem": ["q"], "answer": pyarrow.array([Decimal(LONG)], pyarrow.decimal128(38, 0))})
    pyarrow.parquet.write_table(table, tmp_path / "d.parquet")
    assert answers(tmp_path / "d.parquet") == ["12345678901234567890123"]


def test_a_float_beyond_its_digits_is_not_written_with_digits_nobody_gave(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text('{"problem": "q", "answer": 1e23}\n{"problem": "r", "answer": 12.0}\n')
    assert answers(path) == ["1e+23", "12"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("bom.jsonl", b"\xef\xbb\xbf" + LINE.encode()),
        ("bom.csv", b"\xef\xbb\xbfproblem,answer\nq,1\n"),
        ("blank.jsonl", LINE.encode() + b"\n  \n"),
        ("blank.csv", b"problem,answer\nq,1\n\n"),
        ("windows.jsonl", LINE.replace("\n", "\r\n").encode()),
        ("packed.jsonl.gz", gzip.compress(LINE.encode(), mtime=0)),
        ("list.json", b'[{"problem": "q", "answer": "1"}]'),
        ("lines.json", LINE.encode()),
        ("a,b [1].jsonl", LINE.encode()),
        ("UPPER.JSONL", LINE.encode()),
    ],
)
def test_harmless_differences_between_files_do_not_matter(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    assert [(p.text, p.answer) for p in problems(tmp_path / name)] == [("q", "1")]


def test_a_line_end_within_a_text_does_not_end_its_record(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(json.dumps({"problem": "a\u2028b", "answer": "1"}, ensure_ascii=False) + "\n", encoding="utf-8")
    assert [p.text for p in problems(path)] == ["a\u2028b"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("empty.jsonl", b"", r"empty\.jsonl: expected at least one record; the file holds none"),
        ("empty.json", b"[]", r"empty\.json: expected at least one record"),
        ("header.csv", b"problem,answer\n", r"header\.csv: expected at least one record"),
        ("latin.jsonl", LINE.encode() + b'{"problem": "\xe9"}\n', r"latin\.jsonl, line 2: expected UTF-8, got .* 0xe9"),
        ("wide.jsonl", LINE.encode("utf-16"), r"wide\.jsonl: expected UTF-8, got UTF-16"),
        (
            "cut.jsonl.gz",
            gzip.compress(LINE.encode() * 50, mtime=0)[:30],
            r"cut\.jsonl\.gz: expected a whole \.gz file",
        ),
        ("not.jsonl.gz", LINE.encode(), r"not\.jsonl\.gz: expected a whole \.gz file"),
        ("cut.jsonl", LINE.encode() + b'{"problem', r"cut\.jsonl, line 2: expected JSON; got"),
        ("word.jsonl", LINE.encode() + b"5\n", r"word\.jsonl, line 2: expected a JSON object; got 5"),
        ("short.csv", b"problem,answer\nq\n", r"short\.csv, line 2: expected the header's 2 cells; got 1"),
        ("long.csv", b"problem,answer\nq,1,2\n", r"long\.csv, line 2: expected the header's 2 cells; got 3"),
        ("twice.csv", b"answer,answer\n1,2\n", r"twice\.csv, line 1: expected every column once; got answer"),
        ("no.parquet", b"PAR1", r"no\.parquet: expected a parquet file"),
        ("d.txt", LINE.encode(), r"d\.txt: expected a file ending in \.json"),
    ],
)
def test_what_cannot_be_read_is_refused_with_file_and_row(name: str, data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=message) as refused:
        read_file(tmp_path / name)
    assert "\n" not in str(refused.value)


def test_an_empty_parquet_file_and_an_empty_saved_data_set_are_refused(tmp_path: Path) -> None:
    import datasets
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"problem": pyarrow.array([], pyarrow.string())}), tmp_path / "d.parquet")
    with pytest.raises(ValueError, match="expected at least one record"):
        load_records(str(tmp_path / "d.parquet"))
    datasets.Dataset.from_dict({"problem": []}).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(ValueError, match="expected at least one record in split 'train'; it holds none"):
        load_records(str(tmp_path / "saved"))


def test_a_directory_without_the_split_says_which_it_has(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(LINE)
    with pytest.raises(ValueError, match=r"split 'test'.*no such split; it has train"):
        load_records(str(tmp_path), split="test")


def test_a_directory_in_the_place_of_a_file_names_a_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl").write_text(LINE)
    with pytest.raises(
        ValueError, match=r"expected a file, got a directory; give a file in it, such as samples\.jsonl"
    ):
        read_file(tmp_path)


def test_a_directory_of_other_files_is_left_to_datasets(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("one\ntwo\n")
    assert load_records(str(tmp_path)) == [{"text": "one"}, {"text": "two"}]
