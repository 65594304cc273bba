"""Values that a person gives, checked by pydantic; what it finds wrong is said here, for everything, in our words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import to_json

from mel.naming import did_you_mean

Schema = Mapping[str, Any]
"""A JSON schema, as pydantic makes it of a type: it says in one form what any type takes."""

NAMES = {
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a mapping",
    "string": "text",
}

OWN_WORDS = ("value_error", "assertion_error")
"""Kinds of faults that a check of ours raised, whose message is complete."""

LONGEST = 60
"""Characters that are shown of a value that is refused."""


WHY = "why"
"""Key of a schema that says why a type is so narrow, or what to use instead; see `because`."""

MOST_CHOICES = 16
"""Choices that are named before the rest is only counted."""

_EXACT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


def because(why: str) -> Any:
    """An annotation of a type: why it is so narrow, or what to use instead."""
    return Field(json_schema_extra={WHY: why})


def model_of(types: Mapping[str, Any], *, needed: Collection[str] = ()) -> type[BaseModel]:
    """A model that takes these names with values of these types.

    Args:
        types: name -> its type, which may be annotated with bounds and by `because`.
        needed: names that must be given.
    """
    fields: dict[str, Any] = {name: (kind, ... if name in needed else None) for name, kind in types.items()}
    return create_model("Values", __config__=_EXACT, **fields)


def check(model: type[BaseModel], values: Mapping[str, Any], *, at: str, whose: str = "") -> None:
    """Refuses values that the model does not take, read as a YAML file means them: nothing is converted.

    Args:
        at: the keys that lead to the values, for the message.
        whose: what has the names that are valid, where there are too many to list.

    Raises:
        ValueError: one line with every fault: the key's full path, what was expected and what came.
    """
    try:
        # As JSON, where strict means what a person means: a list may become a tuple, `"2"` is no number, nor is `true`.
        model.model_validate_json(to_json(values, inf_nan_mode="constants", fallback=str), strict=True)
    except ValidationError as error:
        found = faults(error, model.model_json_schema(), values, at=at, whose=whose)
        raise ValueError("; ".join(found)) from None


def faults(error: ValidationError, schema: Schema, given: Any, *, at: str = "", whose: str = "") -> list[str]:
    """What pydantic found, a line for each key: its path, what was expected, what came.

    Args:
        schema: of the type that was checked; it says what is expected, whichever branch of a union failed first.
        given: the values that were checked.
        at: what stands before every path.
        whose: as in `check`.
    """
    lines: dict[tuple[str | int, ...], str] = {}
    for fault in error.errors():
        path = _path(fault, given)
        lines.setdefault(path, _line(fault, path, schema, given, at=at, whose=whose))
    # Where a union failed as a whole, what failed inside one of its branches says nothing more.
    return [line for path, line in lines.items() if not any(path[:n] in lines for n in range(1, len(path)))]


def wanted(schema: Schema, root: Schema) -> str:
    """What a schema takes, in words: `a whole number of at least 1, or null`."""
    schema = _resolved(schema, root)
    choices = _choices(schema, root)
    if choices is not None:
        more = f" or {len(choices) - MOST_CHOICES} more" if len(choices) > MOST_CHOICES else ""
        named = ", ".join(choices[:MOST_CHOICES])
        return f"one of {named}{more}" if len(choices) > 1 else named
    if "anyOf" in schema:
        kinds = list(dict.fromkeys(wanted(branch, root) for branch in schema["anyOf"]))
        lists = {f"a list of {kind}": "a list of these" for kind in kinds}
        kinds = [lists.get(kind, kind) for kind in kinds]
        return f"{', '.join(kinds[:-1])} or {kinds[-1]}" if len(kinds) > 1 else kinds[0]
    if schema.get("type") == "array":
        items = schema.get("items", {})
        return f"a list of {_plural(wanted(items, root))}{_size(schema)}" if items else f"a list{_size(schema)}"
    return NAMES.get(str(schema.get("type")), "a value") + _range(schema)


def _path(fault: Any, given: Any) -> tuple[str | int, ...]:
    """The keys that lead to the fault; pydantic adds the branch of a union that it tried, which nobody wrote."""
    path: list[str | int] = []
    here: Any = given
    for part in fault["loc"]:
        is_there = isinstance(here, Mapping) and part in here
        is_item = isinstance(here, Sequence) and not isinstance(here, str) and isinstance(part, int)
        if not is_there and not is_item and not (fault["type"] == "missing" and part == fault["loc"][-1]):
            continue
        path.append(part)
        here = here[part] if is_there or (is_item and part < len(here)) else None
    return tuple(path)


def _line(fault: Any, path: Sequence[str | int], root: Schema, given: Any, *, at: str, whose: str) -> str:
    key = ".".join(str(part) for part in ((at, *path) if at else path))
    if fault["type"] in OWN_WORDS:
        message = fault["msg"].partition(", ")[2]
    elif fault["type"] == "extra_forbidden":
        return f"unknown key {key!r}{_nearest(str(path[-1]), [*_at(path[:-1], root).get('properties', ())], whose)}"
    else:
        message = _expected(path, root, given)
    return f"{key}: {message}" if key else message


def _nearest(word: str, valid: Sequence[str], whose: str) -> str:
    choices = f"; valid: {', '.join(valid)}" if valid else "; it has none"
    listed = f"; expected {whose}" if whose and len(valid) > MOST_CHOICES else choices
    return did_you_mean(word, valid) or listed


def _expected(path: Sequence[str | int], root: Schema, given: Any) -> str:
    here: Any = given
    is_there, schema = True, _at(path, root)
    for part in path:
        is_there = isinstance(here, Sequence) or part in here
        here = here[part] if is_there else None  # pyright: ignore[reportCallIssue, reportArgumentType]
    came = shown(here) if is_there else "nothing"
    why = f" ({schema[WHY]})" if WHY in schema else ""
    near = did_you_mean(here, _words(schema, root)) if isinstance(here, str) else ""
    return f"expected {wanted(schema, root)}{why}, got {came}{near}"


def shown(value: object) -> str:
    """A value as a person wrote it, cut where it is long."""
    words = {"None": "null", "True": "true", "False": "false"}
    text = words.get(repr(value), repr(value))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _resolved(schema: Schema, root: Schema) -> Schema:
    while "$ref" in schema:
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**root["$defs"][schema["$ref"].rpartition("/")[2]], **beside}
    return schema


def _at(path: Sequence[str | int], root: Schema) -> Schema:
    """The schema of what stands at that path; an empty one, which takes anything, where nothing is said of it."""
    schema = _resolved(root, root)
    for part in path:
        branches = [_resolved(branch, root) for branch in schema.get("anyOf", [schema])]
        schema = _resolved(next(filter(None, (_below(branch, part) for branch in branches)), {}), root)
    return schema


def _below(schema: Schema, part: str | int) -> Schema:
    if isinstance(part, int):
        return schema.get("items", {})
    return schema.get("properties", {}).get(part) or schema.get("additionalProperties") or {}


def _choices(schema: Schema, root: Schema) -> list[str] | None:
    """Every value that is taken, if those are few and named; None if not."""
    schema = _resolved(schema, root)
    if "anyOf" in schema:
        of_each = [_choices(branch, root) for branch in schema["anyOf"]]
        return None if any(found is None for found in of_each) else [word for found in of_each for word in found or ()]
    if "const" in schema:
        return [_word(schema["const"])]
    if "enum" in schema:
        return [_word(value) for value in schema["enum"]]
    return {"null": ["null"], "boolean": ["true", "false"]}.get(str(schema.get("type")))


def _words(schema: Schema, root: Schema) -> list[str]:
    """Every value that some branch of a union names."""
    branches = _resolved(schema, root).get("anyOf", [schema])
    return [word for branch in branches for word in _choices(branch, root) or ()]


def _word(value: object) -> str:
    return value if isinstance(value, str) else shown(value)


def _plural(kind: str) -> str:
    return {"text": "texts", "a number": "numbers", "a whole number": "whole numbers", "a mapping": "mappings"}.get(
        kind, kind
    )


def _size(schema: Schema) -> str:
    least, most = schema.get("minItems"), schema.get("maxItems")
    if least is not None and least == most:
        return f" with {least} item{'s' if least != 1 else ''}"
    return f" with at least {least}" if least else ""


def _range(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if least is not None and most is not None:
        return f" from {_bound(least)} to {_bound(most)}"
    parts = [
        f"{words} {_bound(bound)}"
        for words, bound in (("of at least", least), ("above", above), ("of at most", most), ("below", below))
        if bound is not None
    ]
    return "".join(f" {part}" if not i else f" and {part}" for i, part in enumerate(parts))


def _bound(number: float) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)
