"""Recipes as YAML text: what a person writes, and what a run records of it, read alike."""

from __future__ import annotations

import re
from typing import Any

import yaml

_SCIENTIFIC = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")


class _Loader(yaml.SafeLoader):
    """YAML in which `1e-6` is a number, as in YAML 1.2; PyYAML's own YAML 1.1 takes it for text."""


class _Dumper(yaml.SafeDumper):
    """Quotes text that the loader would take for a number."""


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", _SCIENTIFIC, list("-+0123456789."))


def load(text: str) -> Any:
    """The values that the text stands for.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    return yaml.load(text, _Loader)


def dump(value: object) -> str:
    """Text that loads as the same values, keys in their order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
