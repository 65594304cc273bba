"""Experiences as a data set, read back by `datasets` as a user would."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mel.record import RunDirectory
from mel.record.export import export

Make = Callable[..., Path]


@pytest.mark.parametrize(("to", "loader"), [("parquet", "parquet"), ("jsonl", "json")])
def test_datasets_reads_back_every_experience_with_its_replays(
    make_run: Make, tmp_path: Path, to: str, loader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    run = make_run("mel", steps=3)
    file = export(run, to, tmp_path / "out")  # type: ignore[arg-type]
    rows = datasets.load_dataset(loader, data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))
    stored = list(RunDirectory.open(run).experiences.list(limit=-1))
    assert len(rows) == len(stored) > 5
    for row, item in zip(rows, stored, strict=True):
        assert (row["id"], row["heuristic"], row["bifurcation"]) == (item.id, item.heuristic, item.bifurcation)
        assert [tuple(span) for span in row["wrong_steps"]] == list(item.wrong_steps)
        assert [a["response"] for a in row["attempts"]] == [a.response for a in item.attempts]


def test_the_card_counts_what_is_in_the_file_and_loads_as_configured(make_run: Make, tmp_path: Path) -> None:
    run = make_run("mel", steps=3)
    export(run, "jsonl", tmp_path / "out")
    card, ledger = (tmp_path / "out/README.md").read_text(), RunDirectory.open(run).experiences.ledger()
    assert f"{ledger.candidates:,} experiences, {ledger.kept:,} of them kept" in card
    assert "data_files: experiences.jsonl" in card
    assert "| `wrong_steps` | spans |" in card


def test_an_empty_run_keeps_its_columns_types(make_run: Make, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    file = export(make_run("grpo", steps=1, mel=False), "parquet", tmp_path / "out")
    table = parquet.read_table(file)
    assert table.num_rows == 0
    assert str(table.schema.field("critique").type) == "string"


def test_an_output_that_holds_files_is_refused(make_run: Make, tmp_path: Path) -> None:
    run = make_run("mel", steps=1)
    with pytest.raises(ValueError, match="expected a new or empty directory"):
        export(run, "jsonl", run)
