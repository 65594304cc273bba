"""The rules of the house that no linter checks: size, names, what importing costs, what the README lists."""

from __future__ import annotations

import re
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
    # Processor time of the import alone, the least of a few: the machine may be busy.
    code = "import time; t = time.process_time(); import mel, mel.types, mel.ports; print(time.process_time() - t)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    assert min(float(run.stdout) for run in runs) < 0.25  # about 0.05 s


def tree_of_the_readme() -> dict[str, set[str]]:
    """Folder under src/mel -> every word of its lines in the README's first code block that begins with `src/mel/`."""
    text = (ROOT / "README.md").read_text()
    block = next(
        (b for b in re.findall(r"```\w*\n(.*?)```", text, flags=re.S) if b.lstrip().startswith("src/mel/")), ""
    )
    words: dict[str, set[str]] = {"": set()}
    open_folders: list[tuple[int, str]] = []
    for line in block.strip("\n").splitlines()[1:]:
        indent, found = len(line) - len(line.lstrip()), line.split()
        open_folders = [(i, f) for i, f in open_folders if i < indent]
        if found and found[0].endswith("/"):
            open_folders.append((indent, found.pop(0)))
        words.setdefault("".join(f for _, f in open_folders), set()).update(w.strip(",;") for w in found)
    return words


def test_the_readme_tree_names_every_module_and_no_other() -> None:
    words = tree_of_the_readme()
    folder_of = {path: "" if path.parent == Path() else f"{path.parent}/" for path in MODULES}
    named = {path for path in MODULES if {path.stem, path.name} & words.get(folder_of[path], set())}
    packages = {path for path in MODULES if path.name == "__init__.py" and folder_of[path] in words}
    missing = sorted(set(MODULES) - named - packages)
    assert missing == [], "\n".join(f"{path}  {first_line(SOURCE / path)}" for path in missing)
    invented = {f"{folder}{w}" for folder, ws in words.items() for w in ws if w.endswith(".py")} - {*map(str, MODULES)}
    assert invented == set()


def first_line(path: Path) -> str:
    """What the module says it is."""
    return path.read_text().lstrip('"').split("\n")[0]
