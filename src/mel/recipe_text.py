"""A recipe printed whole: what it says and what its bases say, with their comments, and where each line is from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from mel import recipe_yaml
from mel.recipe_files import NAMED_LISTS, RecipeFile, merged

Path = tuple[str, ...]

ORDER = ("name", "description", "model", "task", "carrier", "credit", "auxiliaries")
"""Sections that come first, in this order, whatever file they are from."""

WIDEST = 110
"""Characters of a mapping that is printed on one line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """The comments at a key: the lines above it, and what stands behind it, without the `#`."""

    above: tuple[str, ...]
    beside: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Page:
    """Recipe files by the name that marks their lines, the furthest base first, and the notes of each."""

    files: Mapping[str, RecipeFile]
    notes: Mapping[str, Mapping[Path, Note]]

    def origin(self, path: Path) -> str:
        """The name of the file that has the last word about that key."""
        return next(name for name, file in reversed([*self.files.items()]) if _holds(file.table, path))

    def origins(self, value: Any, path: Path) -> list[str]:
        """The origin of every value below that key."""
        if not (isinstance(value, dict) and value):
            return [self.origin(path)]
        told = {key: item for key, item in value.items() if key != "name" or path[:-1] not in NAMED_LISTS}
        return [name for key, item in told.items() for name in self.origins(item, (*path, str(key)))]

    def note(self, path: Path) -> Note:
        """The comments at that key in the file it is from."""
        return self.notes[self.origin(path)].get(path, Note(above=(), beside=""))


def recipe_text(files: Sequence[RecipeFile]) -> str:
    """The recipe as one YAML file that extends nothing.

    Args:
        files: the recipe behind its bases, as `lineage` gives them.
    """
    *bases, own = files
    # A recipe may have the name of the one that it extends.
    named = {file.name if file.name != own.name else f"base {file.name}": file for file in bases} | {own.name: own}
    page = _Page(files=named, notes={name: notes_of(file.text) for name, file in named.items()})
    table = merged(file.table for file in files)
    first = {key: table[key] for key in ORDER if key in table}
    header = _header(own.text)
    if own.bases:
        header.append(f"# extends: {', '.join(own.bases)}; here it is whole, and [NAME] marks what is from NAME.")
    sections = ["\n".join(_entry(key, value, (), own.name, page)) for key, value in (first | table).items()]
    return "\n".join(header) + "\n" + "\n\n".join(sections) + "\n"


def notes_of(text: str) -> dict[Path, Note]:
    """Path of a key -> the comments at it, for every key that has some."""
    node = recipe_yaml.compose(text)
    return dict(_notes(node, (), text.splitlines())) if node else {}


def _notes(node: yaml.Node, path: Path, lines: Sequence[str]) -> Iterator[tuple[Path, Note]]:
    pairs: list[tuple[str, yaml.Node, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        pairs = [(str(key.value), key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode) and path in NAMED_LISTS:
        pairs = [(_name_in(item), item, item) for item in node.value]
    for name, begin, value in pairs:
        if isinstance(node, yaml.CollectionNode) and node.flow_style and begin.start_mark.line == node.start_mark.line:
            continue  # on the line of the mapping around it, whose comments these are
        is_block = isinstance(value, yaml.CollectionNode) and not value.flow_style
        mark = begin.end_mark if is_block else value.end_mark
        beside = lines[mark.line][mark.column :].lstrip(": ") if mark.line < len(lines) and mark.column else ""
        note = Note(above=_above(begin.start_mark.line, lines), beside=beside[1:].strip() if beside[:1] == "#" else "")
        if note.above or note.beside:
            yield (*path, name), note
        yield from _notes(value, (*path, name), lines)


def _name_in(node: yaml.Node) -> str:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((str(value.value) for key, value in pairs if key.value == "name"), "")


def _above(line: int, lines: Sequence[str]) -> tuple[str, ...]:
    first = line
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return tuple(text.strip() for text in lines[first:line]) if first else ()  # from line 0 on it is the file's header


def _header(text: str) -> list[str]:
    lines = text.splitlines()
    return lines[: next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))]


def _holds(table: Any, path: Path) -> bool:
    here: Any = table
    for depth, key in enumerate(path):
        if isinstance(here, list) and path[:depth] in NAMED_LISTS:
            here = {item.get("name"): item for item in here if isinstance(item, dict)}
        if not isinstance(here, dict):
            return True  # a value that stands for all below it
        if key not in here:
            return key == "name" and path[: depth - 1] in NAMED_LISTS  # there it is the key that leads to the item
        here = here[key]
    return True


def _entry(key: str, value: Any, parent: Path, source: str, page: _Page) -> Iterator[str]:
    """The lines of one key; `source` is where what stands around it is from, so that only others are marked."""
    path, indent = (*parent, key), "  " * len(parent)
    note = page.note(path)
    begin = f"{indent}{recipe_yaml.dump_inline(key)}:"
    yield from (f"{indent}{line}" for line in note.above)
    if isinstance(value, list) and value and path in NAMED_LISTS:
        yield begin
        for item in value:
            yield from _item(item, path, source, page)
    elif isinstance(value, dict) and value and not _is_inline(value, path, page):
        most, _ = Counter(page.origins(value, path)).most_common(1)[0]
        yield _beside(begin, note.beside, [most], source)
        for name, item in value.items():
            yield from _entry(str(name), item, path, most, page)
    else:
        yield _beside(f"{begin} {recipe_yaml.dump_inline(value)}", note.beside, page.origins(value, path), source)


def _item(item: Mapping[str, Any], parent: Path, source: str, page: _Page) -> Iterator[str]:
    """The lines of one item of a list of named things."""
    path, indent = (*parent, str(item["name"])), "  " * len(parent)
    note, origins = page.note(path), page.origins(item, path) or [page.origin(path)]
    yield from (f"{indent}{line}" for line in note.above)
    if _is_inline(item, path, page):
        yield _beside(f"{indent}- {recipe_yaml.dump_inline(item)}", note.beside, origins, source)
        return
    most, _ = Counter(origins).most_common(1)[0]
    yield _beside(f"{indent}- name: {recipe_yaml.dump_inline(item['name'])}", note.beside, [most], source)
    for key, value in item.items():
        if key != "name":
            yield from _entry(str(key), value, path, most, page)


def _is_inline(value: Mapping[str, Any], path: Path, page: _Page) -> bool:
    """Whether a mapping is short and has no comments inside."""
    notes = [page.note((*path, str(key))) for key in value]
    return (
        len(path) > 1
        and len(recipe_yaml.dump_inline(value)) + 2 * len(path) <= WIDEST
        and not any(note.above or note.beside for note in notes)
    )


def _beside(line: str, comment: str, origins: Sequence[str], source: str) -> str:
    names = list(dict.fromkeys(origins))
    mark = "" if names == [source] else f"[{', '.join(names)}]"
    words = " ".join(word for word in (comment, mark) if word)
    return f"{line}   # {words}" if words else line
