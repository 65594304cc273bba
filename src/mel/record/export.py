"""The experiences of a run as a data set: one file of Parquet or JSON lines, and a data card about it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from mel.record.columns import columns_of
from mel.record.experience import StoredAttempt, StoredExperience
from mel.record.run_directory import RunDirectory
from mel.record.store import ExperienceStore

Format = Literal["parquet", "jsonl"]

BATCH = 1000
"""Experiences read and written at once."""

CARD = """---
configs:
- config_name: default
  data_files: {file}
---
# Meta-experiences of the run {name}

Written by a language model about its own attempts while it was trained with mel ({version}): where a wrong solution
leaves the right path, why, what to remember, and whether another attempt with that note was right. Nobody has checked
the texts.

* {total:,} experiences, {kept:,} of them kept (`is_kept`); the others failed as `reason` says.
* Model {model}, task {task}, commit {commit}, recipe {recipe}.

```python
from datasets import load_dataset

experiences = load_dataset("{loader}", data_files="{file}", split="train")
```

| column | type |
|---|---|
{columns}

`right_steps` and `wrong_steps` are half-open character spans of the numbered steps; `bifurcation` is the number, from
1, of the step of `wrong` where it leaves the right path.
"""


def export(run: str | Path, to: Format, output: str | Path) -> Path:
    """Writes every experience of the run and a data card into a new directory; returns the file of data.

    Raises:
        ValueError: no run directory, or the output exists.
    """
    output = Path(output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(f"export: expected a new or empty directory for --output, got {output}; choose another")
    with RunDirectory.open(run) as directory:
        store = directory.experiences
        output.mkdir(parents=True, exist_ok=True)
        file = output / f"experiences.{to}"
        write = _write_parquet if to == "parquet" else _write_lines
        write(_rows(store), file)
        (output / "README.md").write_text(_card(directory, file.name, to), encoding="utf-8")
    return file


def _rows(store: ExperienceStore) -> Iterator[dict[str, Any]]:
    """Every experience in the order of writing, its replays as a list of mappings."""
    offset = 0
    while page := store.list(offset=offset, limit=BATCH).items:
        yield from (asdict(item) for item in page)
        offset += len(page)


def _write_lines(rows: Iterator[dict[str, Any]], file: Path) -> None:
    with file.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _write_parquet(rows: Iterator[dict[str, Any]], file: Path) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ValueError(
            "export: --to parquet needs pyarrow, which comes with `datasets`: pip install datasets"
        ) from None
    schema = _schema()
    with pq.ParquetWriter(file, schema) as writer:
        while batch := list(islice(rows, BATCH)):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))


def _schema() -> Any:
    """Types that do not depend on the rows: a column that is empty in every one of them keeps its own."""
    import pyarrow as pa

    kinds = {
        "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "str": pa.string(),
        "spans": pa.list_(pa.list_(pa.int64())),
    }  # fmt: skip
    attempt = pa.struct([(name, kinds[kind]) for name, kind in _types(StoredAttempt)])
    columns = [(name, kinds[kind]) for name, kind in _types(StoredExperience)]
    return pa.schema([("id", pa.int64()), *columns, ("attempts", pa.list_(attempt))])


def _types(value: type) -> list[tuple[str, str]]:
    return [(column.field, column.kind.name) for column in columns_of(value)]


def _card(directory: RunDirectory, file: str, to: Format) -> str:
    recipe, environment, counts = directory.recipe, directory.environment, directory.experiences.ledger()
    sections: Sequence[tuple[str, str]] = [("id", "int"), *_types(StoredExperience)]
    attempts = ", ".join(f"`{name}` {kind}" for name, kind in _types(StoredAttempt))
    columns = [f"| `{name}` | {kind} |" for name, kind in sections] + [f"| `attempts` | list of: {attempts} |"]
    task: Any = recipe.get("task") or {}
    return CARD.format(
        file=file,
        loader="parquet" if to == "parquet" else "json",
        name=recipe.get("name") or directory.path.name,
        version=environment.get("mel") or "unknown version",
        total=counts.candidates,
        kept=counts.kept,
        model=environment.get("model") or "unknown",
        task=task.get("name", "unknown"),
        commit=environment.get("commit") or "unknown",
        recipe=str(environment.get("recipe_sha256") or "unknown")[:12],
        columns="\n".join(columns),
    )
