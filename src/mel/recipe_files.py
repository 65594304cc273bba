"""Recipe files: where they are, how one extends another, and what `--set` changes of it.

A recipe may name others that it extends and then gives only what differs (docs/recipes.md):

    extends: qwen3_4b_8gpu                 # a recipe or base that comes with mel, or a file beside this one
    trainer: {max_steps: 20}               # sections merge key by key; values and lists replace
    auxiliaries: {meta_experience: {weight: {share: 1.0}}}    # of a list of named things, one by its name
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from mel import recipe_yaml
from mel.naming import did_you_mean

EXTENDS = "extends"

NAMED_LISTS = {("auxiliaries",), ("evaluation", "suites")}
"""Lists of things with a name: a mapping by that name changes some of them and keeps the others."""

SLOTS = {("carrier",), ("credit",)}
"""What is given by a name alone or by name and settings: settings under another name are not its own."""

PLAIN_WORD = re.compile(r"[\w.+-]*\w[\w.+-]*")
"""What a recipe or a suite may be called: its name becomes part of paths."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeFile:
    """One recipe file as it was written.

    Args:
        table: its sections, without `extends`.
        bases: what it extends, in the order given.
    """

    path: Path
    text: str
    table: Mapping[str, Any]
    bases: tuple[str, ...]

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem


def read_recipe(name_or_path: str, changes: Sequence[str] = ()) -> dict[str, Any]:
    """The sections of that recipe with those of its bases under them, and with `--set a.b=c` changes on top.

    Raises:
        ValueError: no such recipe or base, not YAML, a recipe that extends itself, a change to what is not there.
    """
    files = lineage(find_recipe(name_or_path))
    # A recipe is not called like its base: two of them would train into one directory.
    table = merged(file.table for file in files) | {"name": files[-1].table.get("name", files[-1].name)}
    return changed(table, changes)


def changed(table: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """The sections of a recipe with `--set a.b=c` changes on top.

    Raises:
        ValueError: a change to what is not there.
    """
    for change in changes:
        _apply(table, change)
    return table


def lineage(path: Path) -> list[RecipeFile]:
    """The recipe in that file behind everything it extends, the furthest base first.

    A base that is reached twice counts once, at its first place, so that it undoes nothing of those between.

    Raises:
        ValueError: an unknown base, one outside the file's directory, a recipe that extends itself.
    """
    found: dict[Path, RecipeFile] = {}
    _collect(path, (), found)
    return list(found.values())


def merged(tables: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The tables laid over each other, later ones on top.

    Mappings merge key by key, everything else replaces; null removes what is under it, as in RFC 7396.
    """
    result: dict[str, Any] = {}
    for table in tables:
        result = _merge(result, table, ())
    return result


NO_RECIPES = ("accelerate", "bases")
"""Folders beside the recipes: launch files, and what recipes extend."""


def find_recipe(name_or_path: str) -> Path:
    """The file of a recipe given by name or path.

    Raises:
        ValueError: neither; the nearest name is given.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    shipped = shipped_recipes()
    if name_or_path in shipped:
        return shipped[name_or_path]
    if name_or_path in shipped_bases():
        raise ValueError(
            f"recipe: {name_or_path!r} is a base, which recipes extend and which does not run by itself; "
            f"`mel recipes` lists the recipes"
        )
    raise ValueError(
        f"recipe: expected a YAML file or a recipe that comes with mel (`mel recipes` lists them); got {name_or_path!r}"
        f"{did_you_mean(name_or_path, shipped)}"
    )


def shipped_recipes() -> dict[str, Path]:
    """Name -> file of every recipe that comes with this package."""
    folders = sorted(p.name for p in recipes_directory().iterdir() if p.is_dir() and p.name not in NO_RECIPES)
    return {name: path for folder in folders for name, path in _files(folder).items()}


def shipped_bases() -> dict[str, Path]:
    """Name -> file of what the recipes of this package have in common; no base is a whole recipe."""
    return _files("bases")


def recipes_directory() -> Path:
    """Where the recipes that come with this package lie."""
    return Path(str(resources.files("mel"))) / "recipes"


def _files(folder: str) -> dict[str, Path]:
    return {path.stem: path for path in sorted((recipes_directory() / folder).glob("*.yaml"))}


def _collect(path: Path, trail: tuple[Path, ...], found: dict[Path, RecipeFile]) -> None:
    key = path.resolve()
    if key in trail:
        names = " -> ".join(p.stem for p in (*trail[trail.index(key) :], key))
        raise ValueError(f"{path}: extends: expected bases that do not lead back to the recipe, got {names}")
    if key in found:
        return
    file = _read(path)
    for base in file.bases:
        _collect(_find_base(base, path), (*trail, key), found)
    found[key] = file


def _read(path: Path) -> RecipeFile:
    try:
        text = path.read_text(encoding="utf-8-sig")
        table = recipe_yaml.load(text)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8 text, got byte {error.object[error.start]:#04x}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if not isinstance(table, dict):
        raise ValueError(f"{path}: expected a mapping of sections, got {type(table).__name__}")
    bases = table.pop(EXTENDS, ())
    names = (bases,) if isinstance(bases, str) else bases
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"{path}: extends: expected a recipe's name, a path, or a list of these, got {bases!r}")
    return RecipeFile(path=path, text=text, table=table, bases=tuple(names))


def _find_base(base: str, of: Path) -> Path:
    shipped = shipped_bases() | shipped_recipes()
    if base in shipped:
        return shipped[base]
    if Path(base).is_absolute() or ".." in Path(base).parts:
        raise ValueError(
            f"{of}: extends: expected the name of a recipe that comes with mel or a file in the recipe's own "
            f"directory, got {base!r}; copy it there"
        )
    for name in (base, f"{base}.yaml", f"{base}.yml"):
        if (of.parent / name).is_file():
            return of.parent / name
    beside = [p.name for p in sorted(of.parent.glob("*.y*ml")) if p != of]
    raise ValueError(
        f"{of}: extends: expected a recipe or base that comes with mel or a file in the recipe's own directory, got "
        f"{base!r}{did_you_mean(base, [*shipped, *beside])}"
    )


def _merge(under: Mapping[str, Any], over: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    result = dict(under)
    for key, value in over.items():
        here = (*path, str(key))
        below = result.get(key)
        if here in SLOTS and isinstance(value, dict):
            result[key] = _merge_slot(below, value, here)
        elif here in NAMED_LISTS and isinstance(value, dict):
            result[key] = _merge_named(below if isinstance(below, list) else [], value, here)
        elif value is None and key in result:
            del result[key]
        elif isinstance(value, dict):
            result[key] = _merge(below if isinstance(below, dict) else {}, value, here)
        else:
            result[key] = value
    return result


def _merge_slot(below: Any, value: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    under = below if isinstance(below, dict) else {} if below is None else {"name": below}
    return dict(value) if value.get("name", _name_of(under)) != _name_of(under) else _merge(under, value, path)


def _merge_named(items: list[Any], changes: Mapping[str, Any], path: tuple[str, ...]) -> list[Any]:
    by_name = {_name_of(item): item for item in items}
    if len(by_name) < len(items) or None in by_name:
        raise ValueError(f"{'.'.join(path)}: expected a base whose items have names of their own, got {items!r}")
    for name, change in changes.items():
        if change is None:
            if name not in by_name:
                valid = ", ".join(map(str, by_name)) or "none"
                hint = did_you_mean(str(name), [str(known) for known in by_name]) or f"; the base has: {valid}"
                raise ValueError(f"{'.'.join(path)}.{name}: null removes one that a base has{hint}")
            del by_name[name]
        elif isinstance(change, dict):
            by_name[name] = _merge(by_name.get(name, {"name": name}), change, path)
        else:
            raise ValueError(f"{'.'.join(path)}.{name}: expected a mapping or null, got {change!r}")
    return list(by_name.values())


def _name_of(item: Any) -> Any:
    return item.get("name") if isinstance(item, dict) else None


def _apply(table: dict[str, Any], change: str) -> None:
    key, separator, text = change.partition("=")
    if not separator or not key:
        raise ValueError(f"--set: expected section.key=value, got {change!r}")
    *parents, last = key.split(".")
    if tuple(parents[:1]) in SLOTS and isinstance(table.get(parents[0]), str):
        table[parents[0]] = {"name": table[parents[0]]}
    here: Any = table
    for parent in parents:
        if isinstance(here, dict) and here.get(parent) is None:
            here[parent] = {}  # a section that is null, such as model.lora, has nothing in it yet
        here = here[_index(parent, here, change)] if isinstance(here, list) else here[parent]
        if not isinstance(here, dict | list):
            raise ValueError(f"--set {change}: {parent!r} is a value, not a section")
    try:
        value = recipe_yaml.load(text, path=(*parents, last))
    except ValueError as error:
        raise ValueError(f"--set {change}: {error}; quote text: {key}='\"...\"'") from None
    place: Any = _index(last, here, change) if isinstance(here, list) else last
    here[place] = value


def _index(word: str, items: list[Any], change: str) -> int:
    names = [_name_of(item) for item in items]
    if word in names:
        return names.index(word)
    if not word.isdecimal() or int(word) >= len(items):
        if not items:
            raise ValueError(f"--set {change}: expected a list with items, got an empty one: {word!r} is not in it")
        known = ", ".join(str(name) for name in names if name)
        raise ValueError(
            f"--set {change}: expected an index from 0 to {len(items) - 1}{f' or a name ({known})' if known else ''}, "
            f"got {word!r}"
        )
    return int(word)
