"""The import directions of .importlinter hold, and each contract refuses what it is there to refuse."""

from __future__ import annotations

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
    ("report/__init__.py", "import mel.hosts", "The report reads run directories"),
    ("prompts/chat.py", "import transformers", "Tensors live in"),
    ("methods/__init__.py", "def late():\n    import torch", "Tensors live in"),
]


@pytest.mark.parametrize(("module", "line", "contract"), VIOLATIONS)
def test_a_forbidden_import_breaks_its_contract(copy: Path, module: str, line: str, contract: str) -> None:
    path = copy / "mel" / module
    before = path.read_text() if path.exists() else ""
    path.write_text(f"{before}\n{line}\n")
    result = lint(copy)
    assert result.returncode != 0
    broken = [row for row in result.stdout.splitlines() if " BROKEN" in row]
    assert any(row.startswith(contract) for row in broken), result.stdout
