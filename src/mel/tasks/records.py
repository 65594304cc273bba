"""Records of a data set from a hub id or a local path, which are interchangeable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_BUILDERS = {".json": "json", ".jsonl": "json", ".parquet": "parquet", ".csv": "csv"}


def load_records(source: str, *, split: str = "train", config: str | None = None) -> list[dict[str, Any]]:
    """Records of a split, in the order of the source.

    Args:
        source: a hub id (`openai/gsm8k`), a file (`.jsonl`, `.json`, `.parquet`, `.csv`, also `.gz`), or a directory
            (saved by `datasets`, or holding such files). `{split}` in a path is replaced by the split.
        config: name of the configuration on the hub.

    Raises:
        ValueError: nothing there, not readable, or no such split; the message says what was tried.
    """
    try:
        import datasets
    except ImportError as error:
        raise ValueError(f"reading {source!r} needs datasets: pip install -e '.[math]' in the clone of mel") from error
    path = Path(source.format(split=split) if "{split}" in source else source).expanduser()
    try:
        if path.is_file():
            with _quiet(datasets):
                records = datasets.load_dataset(_builder(path), data_files={"train": str(path)}, split="train")
        elif path.is_dir() and (path / "state.json").is_file():
            records = datasets.load_from_disk(str(path))
        elif path.is_dir() and (path / "dataset_dict.json").is_file():
            records = datasets.load_from_disk(str(path / split))
        elif _is_path(source):
            raise FileNotFoundError(f"no such file or directory: {path}")
        else:
            records = datasets.load_dataset(str(path) if path.is_dir() else source, config, split=split)
    except Exception as error:
        what = f"configuration {config}, " if config else ""
        raise ValueError(
            f"could not load {source!r} ({what}split {split!r}) as a hub id or as a path: {type(error).__name__}: "
            f"{str(error)[:300]}. Give `source` a hub id that this machine can reach, or a local file"
        ) from error
    return [dict(record) for record in records]  # type: ignore[call-overload]


def is_single_file(source: str) -> bool:
    """Names one file, which has one split; a path with `{split}` names several."""
    return "{split}" not in source and any(suffix in _BUILDERS for suffix in Path(source).suffixes)


def _builder(path: Path) -> str:
    suffix = next((s for s in reversed(path.suffixes) if s in _BUILDERS), "")
    if not suffix:
        raise ValueError(f"expected a file ending in {', '.join(_BUILDERS)} (or such a file with .gz), got {path.name}")
    return _BUILDERS[suffix]


def _is_path(source: str) -> bool:
    """Looks like a path rather than like `owner/name`."""
    return (
        source.startswith((".", "/", "~"))
        or source.count("/") > 1
        or any(s in _BUILDERS for s in Path(source).suffixes)
    )


@contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """No progress bar for a local file, which takes a blink."""
    was_on = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if was_on:
            datasets.enable_progress_bars()
