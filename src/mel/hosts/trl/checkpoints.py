"""Whether training can go on from a checkpoint, by its files alone, and what happens when one cannot be written."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

from safetensors import SafetensorError
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from mel.prepared import Checkpoint
from mel.record import DiskFullError

STATE = "mel_state.json"
"""Our own part of a checkpoint. Its `files` are the sizes of those that training goes on from."""

_TRAINER_STATE = "trainer_state.json"
_NOT_NEEDED = (".json", ".jinja", ".md", ".txt", ".model")
_OF_OPTIMIZER = ("optimizer*", "global_step*", "rank*optimizer*")
_OF_MODEL = ("model", "adapter", "pytorch_model")
_FULL = tuple(f"os error {code}" for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_WRITER_OF_TORCH = ("inline_container", "PytorchStreamWriter")


def checkpoints_in(folder: Path, *, total: int) -> list[Checkpoint]:
    """Every `checkpoint-<step>` by step, each with what keeps training from going on from it.

    Args:
        total: optimizer steps of the run. A checkpoint of the last one need not hold an optimizer's state.
    """
    named = [p for p in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if p.name.rpartition("-")[2].isdecimal()]
    return sorted((_checkpoint(p, total=total) for p in named), key=lambda checkpoint: checkpoint.step)


def sizes(checkpoint: Path) -> dict[str, int]:
    """Bytes of every file that training goes on from, by its path within the checkpoint."""
    files = [p for p in sorted(checkpoint.rglob("*")) if p.is_file()]
    return {str(p.relative_to(checkpoint)): p.stat().st_size for p in files if _is_needed(p)}


@contextmanager
def whole_or_nothing(folder: Path, *, is_writer: bool) -> Iterator[None]:
    """Deletes what could not be written to its end because the disk is full.

    Raises:
        DiskFullError: in the place of what the libraries raise.
    """
    try:
        yield
    except Exception as error:
        if not _is_disk_full(error):
            raise
        if is_writer:
            shutil.rmtree(folder, ignore_errors=True)
        raise DiskFullError(folder, f"saving {folder.name}") from error


@contextmanager
def readable(checkpoint: str | Path | None) -> Iterator[None]:
    """Names the checkpoint if a file of it cannot be read.

    Raises:
        ValueError: in the place of what the libraries raise.
    """
    try:
        yield
    except (SafetensorError, UnpicklingError, EOFError, KeyError, RuntimeError) as error:
        # The libraries go on at length about what to do.
        first = str(error).strip().partition("\n")[0].partition(". ")[0]
        raise ValueError(
            f"{checkpoint}: expected a checkpoint that can be read, got {type(error).__name__}: {first}. Move it "
            f"away and resume again: training then goes on from the checkpoint before it"
        ) from error


def _checkpoint(path: Path, *, total: int) -> Checkpoint:
    step, is_finished = int(path.name.rpartition("-")[2]), _is_finished(path)
    problem = _problem(path, is_last=step >= total) if is_finished else "was not written to its end"
    return Checkpoint(path=path, step=step, problem=problem, is_finished=is_finished)


def _is_finished(checkpoint: Path) -> bool:
    """The trainer's state file comes last: a kill may keep it from being there, or from being whole."""
    try:
        json.loads((checkpoint / _TRAINER_STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def _problem(checkpoint: Path, *, is_last: bool) -> str:
    """What is damaged or missing; empty if training can go on."""
    try:
        state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"{STATE} is missing"
    except (OSError, ValueError):
        return f"{STATE} is damaged"
    there = sizes(checkpoint)
    for name, size in state.get("files", {}).items():
        if name not in there and not (is_last and not name.startswith(_OF_MODEL)):
            return f"{name} is missing"
        if there.get(name, size) != size:
            return f"{name} is damaged ({there[name]:,} bytes; {size:,} were written)"
    if is_last or "files" in state:
        return ""
    return _lacks_optimizer(checkpoint)


def _lacks_optimizer(checkpoint: Path) -> str:
    """What a checkpoint without a list of its files lacks: one of `save_only_model`, or of an earlier version."""
    parts = {"the optimizer's state": _OF_OPTIMIZER, "the state of the random numbers": ("rng_state*",)}
    for part, patterns in parts.items():
        if not any(found for pattern in patterns for found in checkpoint.glob(pattern)):
            return f"{part} is missing (trainer.save_only_model keeps the model alone)"
    return ""


def _is_needed(file: Path) -> bool:
    is_text = file.suffix in _NOT_NEEDED and not file.name.endswith(".index.json")
    return not is_text and file.name != "training_args.bin"


def _is_disk_full(error: BaseException) -> bool:
    if isinstance(error, DiskFullError):
        return False
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    # Safetensors names the code of the system in its message; torch only the line of its source that failed.
    return any(part in str(error) for part in (*_FULL, *_WRITER_OF_TORCH))
