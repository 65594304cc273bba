"""What the documents say can be done: every recipe loads, every command they show is one the program knows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from mel.cli import app
from mel.config import load_recipe
from mel.recipe_files import recipes_directory, shipped_bases, shipped_recipes

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
RECIPES = list(shipped_recipes().values())


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_loads_by_name_and_says_what_it_needs(path: Path) -> None:
    recipe = load_recipe(path.stem)
    assert recipe == load_recipe(str(path))
    assert recipe.resolved()["name"] == path.stem
    assert "hardware" in path.read_text().splitlines()[0].lower()


def test_recipes_have_names_of_their_own() -> None:
    stems = [p.stem for p in recipes_directory().glob("**/*.yaml") if p.parent.name != "accelerate"]
    assert sorted(stems) == sorted([*shipped_recipes(), *shipped_bases()])


def code_lines() -> Iterator[tuple[str, str]]:
    """(document, line) of all code in the documents, in blocks and in running text, continued lines joined."""
    for document in DOCUMENTS:
        if document.name == "files.md":
            continue  # sentences of modules, in a block for their columns: no commands
        text = document.read_text().replace("\\\n", " ")
        blocks = re.findall(r"```(?:\w*)\n(.*?)```", text, flags=re.S)
        spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"```.*?```", "", text, flags=re.S))
        for line in [line for block in blocks for line in block.splitlines()] + spans:
            yield document.name, line.strip().removeprefix("$ ")


LAUNCHERS = r"(?:accelerate launch .*-m +|torchrun .*-m +|python -m +)?"
MEL = re.compile(rf"^(?:[A-Z_]+=\S+ +)*(?:nice -n \d+ +)?(?:\.venv/bin/)?{LAUNCHERS}mel +(\w.*)$")
COMMANDS = sorted({(name, match[1]) for name, line in code_lines() if (match := MEL.match(line))})
TARGETS = sorted(
    {(name, target) for name, line in code_lines() for target in re.findall(r"\bmake ([a-z0-9-]+)\b", line)}
)


@pytest.mark.parametrize(("document", "command"), COMMANDS)
def test_every_mel_command_in_the_documents_is_understood(document: str, command: str) -> None:
    words = shlex.split(command, comments=True)
    found = get_command(app)
    while words and words[0] in getattr(found, "commands", {}):
        found = found.commands[words.pop(0)]
    assert not hasattr(found, "commands") or not words, f"{document}: mel {command}: no command {words[0]!r}"
    known = {option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)}
    asked = {word.split("=")[0] for word in words if word.startswith("--")}
    assert asked <= known | {"--help"}, f"{document}: {found.name} knows {sorted(known)}"


@pytest.mark.parametrize(("document", "command"), [c for c in COMMANDS if c[1].startswith("train ")])
def test_every_recipe_named_in_the_documents_exists(document: str, command: str) -> None:
    recipe = shlex.split(command, comments=True)[1]
    if recipe.isupper() or recipe.startswith(("<", "my")) or recipe in {"recipe.yaml"}:
        return  # a placeholder, not a name
    changes = re.findall(r"--set[ =](\S+)", command)
    load_recipe(recipe, changes)


@pytest.mark.parametrize(("document", "target"), TARGETS)
def test_every_make_target_in_the_documents_exists(document: str, target: str) -> None:
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), flags=re.M), document


def test_links_between_documents_lead_somewhere() -> None:
    dead = {
        f"{document.name}: {target}"
        for document in DOCUMENTS
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
        if "://" not in target and not (document.parent / target).exists()
    }
    assert dead == set()


LINKS = [
    (document, target, anchor)
    for document in DOCUMENTS
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", document.read_text())
    if "://" not in target
]


def anchors_of(document: Path) -> set[str]:
    """What GitHub makes of each heading: lower case, hyphens for spaces, and no other signs."""
    headings = re.findall(r"^#+ +(.*)$", document.read_text(), flags=re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_to_a_heading_lead_to_one() -> None:
    dead = {
        f"{document.name}: {target}#{anchor}"
        for document, target, anchor in LINKS
        if anchor and anchor not in anchors_of(document.parent / target if target else document)
    }
    assert dead == set()


def test_every_page_is_linked_from_another() -> None:
    linked = {(document.parent / target).resolve() for document, target, _ in LINKS if target}
    assert {page.name for page in (ROOT / "docs").glob("*.md") if page not in linked} == set()
