"""What can be said of a model by its path alone, before torch is imported: whether one is there, and of which kind."""

from __future__ import annotations

from pathlib import Path

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
