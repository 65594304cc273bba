"""The rules of the house that no linter checks: size, names, what importing costs, what the README lists."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "mel"
MODULES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))
LONGEST_FILE = 400
CATCH_ALL = {"util", "utils", "common", "helper", "helpers", "misc", "core", "base", "lib", "tools", "shared"}
HEAVY = {"torch", "transformers", "trl", "datasets", "accelerate", "matplotlib", "numpy", "sympy", "math_verify"}


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks", "examples"])
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
    # Processor time of the import alone, the least of a few: the machine may be busy.
    code = "import time; t = time.process_time(); import mel, mel.types, mel.ports; print(time.process_time() - t)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    assert min(float(run.stdout) for run in runs) < 0.25  # about 0.05 s


def test_the_page_of_files_names_every_module_with_what_it_says_it_is() -> None:
    made = runpy.run_path(str(Path(__file__).with_name("file_list.py")))
    assert made["PAGE"].read_text() == made["files_page"](), "the modules have changed: run `make files`"


def test_the_tree_of_the_readme_names_every_room_and_no_other() -> None:
    text = (ROOT / "README.md").read_text()
    tree = next(block for block in re.findall(r"```\w*\n(.*?)```", text, flags=re.S) if block.startswith("src/mel/"))
    named = re.findall(r"^  ([a-z]\w*)/", tree, flags=re.M)
    rooms = sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))
    assert sorted(named) == sorted([*rooms, "recipes"])
    assert named == list(dict.fromkeys(named))
