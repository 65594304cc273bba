"""Records of a data set from a hub id or a local path, which are interchangeable."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mel.hub import offline_unless_reachable
from mel.tasks.files import Located, format_of, read_file

Record = dict[str, Any]


def load_records(source: str, *, split: str = "train", config: str | None = None) -> list[Record]:
    """Records of a split, in the order of the source.

    Args:
        source: a hub id (`openai/gsm8k`), a file (`.jsonl`, `.json`, `.parquet`, `.csv`, also `.gz`), or a directory
            (saved by `datasets`, or holding such files). `{split}` in a path is replaced by the split.
        config: name of the configuration on the hub.

    Raises:
        ValueError: nothing there, not readable, no such split, or no record; the message says what was tried.
    """
    return [record for _, record in load_located(source, split=split, config=config)]


def load_located(source: str, *, split: str = "train", config: str | None = None) -> list[Located]:
    """As `load_records`, each record with where it stands: the line of a single file, else its number."""
    path = Path(source.replace("{split}", split)).expanduser()
    if path.is_file():
        return read_file(path)
    if path.is_dir():
        records = _directory(path, split, config)
    elif _is_path(source):
        raise ValueError(f"could not load {source!r}: no such file or directory: {path}")
    else:
        records = _hub(source, split, config)
    if not records:
        raise ValueError(f"{source!r}: expected at least one record in split {split!r}; it holds none")
    return [(f"record {number}", record) for number, record in enumerate(records, 1)]


def is_single_file(source: str) -> bool:
    """Names one file, which has one split; a path with `{split}` names several."""
    return "{split}" not in source and bool(format_of(source))


def _directory(path: Path, split: str, config: str | None) -> list[Record]:
    """Of a directory that `datasets` saved, or of one with files of records, which are read like any single file."""
    import datasets

    with _explained(str(path), split, config), _quiet(datasets):
        if (path / "state.json").is_file():
            return _saved(datasets, path)
        if (path / "dataset_dict.json").is_file():
            return _saved(datasets, path / split)
        # Only which file belongs to which split: its own readers round long integers and take `NA` for nothing.
        known = datasets.load_dataset_builder(str(path), config).config.data_files or {}
        if split not in known:
            raise ValueError(f"no such split; it has {', '.join(map(str, known)) or 'none'}")
        files = [Path(str(file)) for file in known[split]]
        if not all(map(format_of, files)):
            return _as_dicts(datasets.load_dataset(str(path), config, split=split))
    return [record for file in files for _, record in read_file(file)]


def _saved(datasets: Any, path: Path) -> list[Record]:
    # `datasets` saves a set without rows as one without files, and fails to load that.
    state = json.loads((path / "state.json").read_text(encoding="utf-8"))
    return _as_dicts(datasets.load_from_disk(str(path))) if state.get("_data_files") else []


def _hub(source: str, split: str, config: str | None) -> list[Record]:
    offline_unless_reachable()
    import datasets

    with _explained(source, split, config):
        return _as_dicts(datasets.load_dataset(source, config, split=split))


def _as_dicts(records: Any) -> list[Record]:
    return [dict(record) for record in records]


def _is_path(source: str) -> bool:
    """Looks like a path rather than like `owner/name`."""
    return source.startswith((".", "/", "~")) or source.count("/") > 1 or bool(format_of(source))


@contextmanager
def _explained(source: str, split: str, config: str | None) -> Iterator[None]:
    """Whatever `datasets` raises becomes one line that says what was tried."""
    try:
        yield
    except Exception as error:
        what = f"configuration {config}, " if config else ""
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ValueError(
            f"could not load {source!r} ({what}split {split!r}) as a hub id or as a path: {reason}. Give `source` a "
            "hub id that this machine can reach, or a local file"
        ) from error


@contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """No progress bar for local files, which take a moment."""
    was_on = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if was_on:
            datasets.enable_progress_bars()
