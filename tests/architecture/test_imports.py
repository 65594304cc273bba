"""The import directions of .importlinter hold, and each contract refuses what it is there to refuse."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def lint(package_parent: Path) -> subprocess.CompletedProcess[str]:
    """`lint-imports` with the repository's contracts on the copy of mel in that directory."""
    command = Path(sys.executable).with_name("lint-imports")
    config = ROOT / ".importlinter"
    return subprocess.run(
        [str(command), "--no-cache", "--no-logo", "--config", str(config)],
        env=os.environ | {"PYTHONPATH": str(package_parent), "COLUMNS": "200"},
        cwd=package_parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A directory with a copy of the package's Python files."""
    for source in (ROOT / "src" / "mel").rglob("*.py"):
        target = tmp_path / source.relative_to(ROOT / "src")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    return tmp_path


def test_the_package_keeps_its_import_contracts() -> None:
    result = lint(ROOT / "src")
    assert result.returncode == 0, result.stdout


VIOLATIONS = [
    ("stages/guard.py", "import mel.stages.pairs", "Stages never import each other"),
    ("types.py", "import mel.ports", "Layers import downward only"),
    ("stages/pairs.py", "import mel.methods", "Layers import downward only"),
    ("tasks/__init__.py", "def late():\n    import mel.evaluate", "Layers import downward only"),
    ("utils.py", "", "Layers import downward only"),  # a module without a layer
    ("hosts/trl/__init__.py", "import mel.hosts.local", "Hosts never import each other"),
    ("hosts/load.py", "import mel.hosts.offline_vllm", "Hosts never import each other"),  # they share it, not it them
    ("hosts/local.py", "import mel.stages.replay", "Hosts know no stage and no task"),
    ("hosts/local.py", "import mel.tasks", "Hosts know no stage and no task"),
    ("hosts/local.py", "import mel.methods.auxiliaries", "Hosts know no stage and no task"),
    ("hosts/trl/defaults.py", "import mel.methods.auxiliaries.meta_experience", "Nothing outside methods imports"),
    ("plan/tokens.py", "from mel.methods.auxiliaries import AUXILIARIES", "Nothing outside methods imports"),
    ("stages/pairs.py", "def late():\n    import mel.methods.auxiliaries", "Nothing outside methods imports"),
    ("step/batch.py", "import mel.methods.credit.outcome", "The step knows the slots of a method"),
    ("step/batch.py", "import mel.stages.credit", "The step knows the slots of a method"),
    ("step/batch.py", "import mel.hosts.trl.ranks", "Layers import downward only"),
    ("methods/__init__.py", "def late():\n    import mel.step", "Layers import downward only"),
    ("objective/rows.py", "import mel.step.slots", "Layers import downward only"),
    ("step/slots.py", "def late():\n    import torch", "Tensors live in"),
    ("report/__init__.py", "import mel.hosts", "The report reads run directories"),
    ("prompts/chat.py", "import transformers", "Tensors live in"),
    ("methods/__init__.py", "def late():\n    import torch", "Tensors live in"),
]


def sources(contract: str) -> set[str]:
    """The modules that a contract of `.importlinter` holds to something."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    return set(parser[f"importlinter:contract:{contract}"]["source_modules"].split())


@pytest.mark.parametrize(
    ("contract", "free"),
    [
        ("auxiliaries", {"methods", "__main__", "naming", "recipe_yaml"}),
        ("tensors", {"hosts", "miniature", "objective", "__main__", "hub"}),
    ],
)
def test_a_contract_about_everything_else_lists_everything_else(contract: str, free: set[str]) -> None:
    everything = {p.stem for p in (ROOT / "src" / "mel").iterdir() if (p.is_dir() or p.suffix == ".py")}
    everything -= {"__init__", "__pycache__", "recipes"}
    assert sources(contract) == {f"mel.{name}" for name in everything - free}


@pytest.mark.parametrize("module", ["mel.step", "mel.methods", "mel.plan"])
def test_a_room_without_tensors_is_imported_without_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


@pytest.mark.parametrize(("module", "line", "contract"), VIOLATIONS)
def test_a_forbidden_import_breaks_its_contract(copy: Path, module: str, line: str, contract: str) -> None:
    path = copy / "mel" / module
    before = path.read_text() if path.exists() else ""
    path.write_text(f"{before}\n{line}\n")
    result = lint(copy)
    assert result.returncode != 0
    broken = [row for row in result.stdout.splitlines() if " BROKEN" in row]
    assert any(row.startswith(contract) for row in broken), result.stdout
