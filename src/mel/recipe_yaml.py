"""Recipes as YAML text: what a person writes, and what a run records of it, read alike."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

_SCIENTIFIC = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")
_BOOLEAN = re.compile(r"(?:true|True|TRUE|false|False|FALSE)$")
_WORD = re.compile(r"(?:yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)$")
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$")
_TEXT, _WORD_TAG = "tag:yaml.org,2002:str", "!word"

FREE_FORM = {"trainer", "lora", "options", "settings"}
"""Sections whose keys have types that recipes do not know: `no` in them is a boolean, as people mean it."""


class _Word(str):
    """`yes`, `no`, `on` or `off`, written without quotes: text in YAML 1.2, a boolean in YAML 1.1."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    """YAML 1.2 where PyYAML's YAML 1.1 surprises: `1e-6` is a number; `no`, `12:30` and `2026-01-31` are text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping of that node.

        Raises:
            yaml.constructor.ConstructorError: a key stands twice; PyYAML would take the last one without a word.
        """
        seen: set[str] = set()
        for key, _ in node.value:
            word = str(key.value)
            if word in seen and word != "<<":
                raise yaml.constructor.ConstructorError(None, None, f"the key {word!r} twice", key.start_mark)
            seen.add(word)
        return super().construct_mapping(node, deep=deep)


class _Dumper(yaml.SafeDumper):
    """Quotes text that this loader, or one of YAML 1.1, would take for something else."""


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", _SCIENTIFIC, list("-+0123456789."))
# The first rule that matches decides, so these go before PyYAML's own.
_OWN = ((_TEXT, _BASE_60, "-+0123456789"), ("tag:yaml.org,2002:bool", _BOOLEAN, "tTfF"), (_WORD_TAG, _WORD, "yYnNoO"))
_Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule, firsts in _OWN if first and first in firsts]
    + [(tag, rule) for tag, rule in rules if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")]
    for first, rules in _Loader.yaml_implicit_resolvers.items()
}
# A recipe holds what JSON can hold, as a run records it; other tags are unknown ones.
for _tag in ("binary", "omap", "pairs", "set", "timestamp"):
    _Loader.yaml_constructors = {k: v for k, v in _Loader.yaml_constructors.items() if k != f"tag:yaml.org,2002:{_tag}"}
_Loader.add_constructor(_WORD_TAG, lambda _, node: _Word(node.value))


def load(text: str, *, path: tuple[str, ...] = ()) -> Any:
    """The values that the text stands for.

    `yes`, `no`, `on` and `off` are text where a field takes text (`save_strategy: no`) and booleans in the sections
    whose fields recipes do not know (`bf16: no`). A boolean field of a recipe takes either.

    Args:
        path: the keys that lead to the values, for text that is not a whole recipe.

    Raises:
        ValueError: it is no YAML; one line with the place.
    """
    try:
        return _settle(yaml.load(text, _Loader), path)
    except yaml.YAMLError as error:
        raise ValueError(f"expected YAML, got {_one_line(error)}") from None
    except RecursionError:
        raise ValueError("expected YAML, got a value that contains itself or is nested too deeply") from None
    except (KeyError, AttributeError):  # PyYAML's own, of `!!bool x`
        raise ValueError("expected YAML, got a value that is not what its tag says") from None


def dump(value: object) -> str:
    """Text that loads as the same values, keys in their order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def dump_inline(value: object) -> str:
    """The same on one line, as it stands behind a key."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=True, width=10**6)
    return text.removesuffix("\n...\n").rstrip("\n")


def compose(text: str) -> yaml.Node | None:
    """The text as nodes with their places, for whoever wants its comments."""
    return yaml.compose(text, _Loader)


def _settle(value: Any, path: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return {key: _settle(item, (*path, str(key))) for key, item in value.items()}
    if isinstance(value, list):
        return [_settle(item, path) for item in value]
    if not isinstance(value, _Word):
        return value
    # Of TRL's fields only the strategies (save, eval, logging) take such a word: "no".
    is_text = not FREE_FORM & {*path[:-1]} or path[-1].endswith("_strategy")
    word = value.lower() if path[-1:] and path[-1].endswith("_strategy") else str(value)
    return word if is_text else value.lower() in ("yes", "on")


def _one_line(error: yaml.YAMLError) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split())
    mark = error.problem_mark
    return f"{error.problem} (line {mark.line + 1}, column {mark.column + 1})"
