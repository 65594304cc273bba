"""Templates of the pages: everything is escaped, and no script may run but their own."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any


def render_template(
    template: str,
    *,
    styles: Sequence[str],
    scripts: Sequence[str],
    filters: Mapping[str, Any] | None = None,
    **values: Any,
) -> str:
    """The page of that template, with its styles and scripts within it.

    Raises:
        ValueError: jinja2 is not installed.
    """
    style, script = joined(styles), joined(scripts)
    environment = _environment()
    environment.filters |= dict(filters or {})
    return environment.get_template(template).render(
        style=style, script=script, style_hash=source_hash(style), script_hash=source_hash(script), **values
    )


def joined(names: Sequence[str]) -> str:
    """These files behind each other."""
    return "\n".join(map(_asset, names))


def source_hash(text: str) -> str:
    """How a Content-Security-Policy names a script or a style, whatever text should ever get past the escaping."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _environment() -> Any:
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
    except ImportError:
        raise ValueError("the report page needs jinja2, which is not installed: pip install -e '.[report]'") from None
    return Environment(
        loader=FunctionLoader(_asset), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _asset(name: str) -> str:
    return (resources.files("mel.report") / "templates" / name).read_text(encoding="utf-8")
