"""The rules of the house that no linter checks: size, names, what importing costs, what the README lists."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "mel"
MODULES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))
LONGEST_FILE = 400
CATCH_ALL = {"util", "utils", "common", "helper", "helpers", "misc", "core", "base", "lib", "tools", "shared"}
HEAVY = {"torch", "transformers", "trl", "datasets", "accelerate", "matplotlib", "numpy", "sympy", "math_verify"}


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks"])
def test_no_file_is_longer_than_the_cap(folder: str) -> None:
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in (ROOT / folder).rglob("*.py")}
    assert {name: n for name, n in lengths.items() if n > LONGEST_FILE} == {}


def test_no_module_is_a_catch_all() -> None:
    named = {str(path) for path in MODULES if CATCH_ALL & {path.stem, *(part for part in path.parts[:-1])}}
    assert named == set()


def test_nothing_that_ships_is_unfinished_or_names_a_machine() -> None:
    marks = re.compile(r"NotImplementedError|\b(TODO|FIXME|XXX)\b|\.\./shared|/work/|/root/|/tmp/")
    shipped = [*SOURCE.rglob("*.py"), *SOURCE.rglob("*.yaml"), *SOURCE.rglob("*.txt"), *(ROOT / "docs").glob("*.md")]
    shipped += [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "AGENTS.md", "CHANGELOG.md", "Makefile")]
    found = {f"{p.relative_to(ROOT)}: {m[0]}" for p in shipped if p.exists() for m in marks.finditer(p.read_text())}
    assert found == set()


@pytest.mark.parametrize("module", ["mel", "mel.cli", "mel.config", "mel.methods", "mel.tasks", "mel.prompts.chat"])
def test_importing_takes_no_heavy_package(module: str) -> None:
    code = f"import {module}, sys; print(*sorted({HEAVY!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.split() == []


def test_importing_mel_is_quick() -> None:
    def seconds(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
        return time.perf_counter() - start

    # The least of a few, against an empty interpreter measured beside it: the machine may be busy.
    extra = min(seconds("import mel, mel.types, mel.ports") for _ in range(5)) - min(seconds("") for _ in range(5))
    assert extra < 0.25


def tree_of_the_readme() -> dict[str, str]:
    """Path under src/mel -> its line, from the first README code block that begins with `src/mel/`."""
    text = (ROOT / "README.md").read_text()
    block = next((b for b in re.findall(r"```\w*\n(.*?)```", text, flags=re.S) if b.startswith("src/mel/")), "")
    found: dict[str, str] = {}
    folders: list[tuple[int, str]] = []
    for line in block.splitlines()[1:]:
        match = re.match(r"(\s+)(\S+)(?:\s+(.*))?$", line)
        if not match:
            break
        indent, name, words = len(match[1]), match[2], match[3] or ""
        folders = [(i, f) for i, f in folders if i < indent]
        path = "".join(f for _, f in folders) + name
        found[path] = words
        if name.endswith("/"):
            folders.append((indent, name))
    return found


def test_the_readme_tree_has_a_line_for_every_module_and_no_other() -> None:
    listed = tree_of_the_readme()
    modules = {str(path) for path in MODULES if path.name != "__init__.py"}
    packages = {f"{path.parent}/" for path in MODULES if path.name == "__init__.py" and path.parent != Path()}
    python = {path for path in listed if path.endswith(".py")}
    assert sorted(modules - python) == []
    assert sorted(python - modules) == []
    assert sorted(packages - set(listed)) == []
    assert [path for path, words in listed.items() if not words] == []
