"""Nothing outside `mel.methods` names an auxiliary: neither its classes nor its key in recipes, metrics or tables."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from mel.methods import AUXILIARIES

PACKAGE = Path(__file__).parents[2] / "src" / "mel"
FLAT_FIELDS = PACKAGE / "hosts" / "trl" / "config.py"
"""`MELConfig` has the settings of MEL as flat fields, for whoever has no recipe."""

CLASSES = {settings.__name__ for settings in AUXILIARIES.values()} | {"MetaExperienceLearning"}


def names_in(source: str) -> Iterator[str]:
    """Every auxiliary that code names: its key in a string, or one of its classes; documentation may."""
    tree = ast.parse(source)
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield from (name for name in AUXILIARIES if name in node.value)
        elif isinstance(node, ast.Name | ast.Attribute | ast.alias):
            name = (
                node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else node.name
            )
            yield from (found for found in CLASSES if name.split(".")[-1] == found)


MODULES = [p for p in sorted(PACKAGE.rglob("*.py")) if PACKAGE / "methods" not in p.parents and p != FLAT_FIELDS]


def test_no_module_outside_methods_names_an_auxiliary() -> None:
    assert len(MODULES) > 100
    found = {str(path.relative_to(PACKAGE)): named for path in MODULES if (named := set(names_in(path.read_text())))}
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "path = 'auxiliaries.meta_experience.settings'",
        "label = f'{seed}: meta_experience'",
        "from mel.methods import MetaExperienceSettings",
        "import mel\nmel.methods.MetaExperienceLearning(None, None)",
    ],
)
def test_a_name_is_found_wherever_code_has_one(line: str) -> None:
    assert list(names_in(line))


@pytest.mark.parametrize(
    "line", ['"""As `meta_experience` does."""', "x = 1  # meta_experience", "from mel.types import MetaExperience"]
)
def test_documentation_and_the_noun_are_no_such_names(line: str) -> None:
    assert not list(names_in(line))


def test_the_flat_fields_are_the_exception_that_they_are_said_to_be() -> None:
    assert list(names_in(FLAT_FIELDS.read_text()))
