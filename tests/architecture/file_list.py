"""The page docs/files.md, made from the first line of every module: `make files` writes it, a test compares it."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "mel"
PAGE = ROOT / "docs" / "files.md"

HEAD = """\
# Every file

One line per module: the first line of its docstring. `make files` makes this page. [architecture.md](architecture.md)
says who may import whom, and why.

"""


def files_page() -> str:
    """The page as it should be now."""
    return HEAD + "```\nsrc/mel/\n" + "\n".join(_folder(PACKAGE, depth=1)) + "\n```\n"


def _folder(folder: Path, *, depth: int) -> list[str]:
    lines = [_line(path.name, path, depth) for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
    for below in sorted(path for path in folder.iterdir() if (path / "__init__.py").is_file()):
        lines += [_line(f"{below.name}/", below / "__init__.py", depth), *_folder(below, depth=depth + 1)]
    return lines


def _line(name: str, path: Path, depth: int) -> str:
    said = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0].rstrip(".")
    return f"{'  ' * depth + name:<28} {said}"


if __name__ == "__main__":
    PAGE.write_text(files_page(), encoding="utf-8")
