"""What stands in the columns of a data set: questions, golds, and how to get at them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mel.column_text import plain_text
from mel.verify import last_boxed

Extractor = Callable[[str], str | None]
"""Finds the gold in the text of an answer column; None if it is not there."""

# BytedTsinghua-SIA/DAPO-Math-17k wraps every question; the solve prompt is ours to choose.
_DAPO_HEAD = re.compile(
    r"\A\s*Solve the following math problem step by step\. The last line of your response should be.*?\n\n", re.S
)
_DAPO_TAIL = re.compile(r"\n\s*Remember to put your answer on its own line after \"Answer:\"\.?\s*\Z")


def value(record: Mapping[str, Any], field: str) -> Any:
    """Value of a column, or of a nested one (`reward_model.ground_truth`), also in JSON text; None if not there."""
    found: Any = record
    for key in (field,) if field in record else field.split("."):
        found = _object(found)
        if not isinstance(found, Mapping) or key not in found:
            return None
        found = found[key]
    return found


def _object(held: Any) -> Any:
    """The object that a text in JSON states; whatever else is held as it is."""
    if not isinstance(held, str) or not held.lstrip().startswith("{"):
        return held
    try:
        return json.loads(held)
    except ValueError:
        return held


def first_filled(records: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> str | None:
    """The first of these columns that any of the records fills, or else has; None if there is no such column."""
    filled = (field for field in fields if any(value(record, field) is not None for record in records))
    there = (field for field in fields if any(field.split(".")[0] in record for record in records))
    return next(filled, None) or next(there, None)


def extractor(name: str) -> Extractor:
    """The function that finds the gold in an answer column.

    Raises:
        ValueError: neither a known name nor a regular expression with one group.
    """
    named: dict[str, Extractor] = {
        "text": lambda text: text.strip() or None,
        "boxed": last_boxed,
        "hashes": lambda text: text.rpartition("####")[2].strip() or None if "####" in text else None,
    }
    if name in named:
        return named[name]
    try:
        pattern = re.compile(name)
    except re.error as error:
        raise ValueError(
            f"extractor: expected {', '.join(named)} or a regular expression, got {name!r}: {error}"
        ) from error
    if pattern.groups != 1:
        raise ValueError(f"extractor: expected {', '.join(named)} or a regular expression with one group, got {name!r}")
    return lambda text: next((m[1].strip() for m in reversed(list(pattern.finditer(text)))), None) or None


def question_text(raw: Any, field: str = "question") -> str:
    """The question of a column: text, or the last user turn of a conversation without its usual instruction.

    Raises:
        ValueError: an object, or a list that is no conversation.
    """
    if isinstance(raw, Sequence) and not isinstance(raw, str | bytes):
        raw = _last_user_turn(raw, field)
    return _without_instruction(plain_text(raw, field)).strip()


def _last_user_turn(turns: Sequence[Any], field: str) -> str:
    """What the user says last: text, or the text parts of a message with parts."""
    if not all(isinstance(turn, Mapping) and "role" in turn for turn in turns):
        raise ValueError(f"expected text or a list of chat messages in the column {field}, got {str(turns)[:80]}")
    content = next((turn.get("content") for turn in reversed(turns) if turn["role"] == "user"), None)
    if isinstance(content, Sequence) and not isinstance(content, str):
        return "\n".join(plain_text(part.get("text"), field) for part in content if isinstance(part, Mapping))
    return plain_text(content, field)


def _without_instruction(text: str) -> str:
    return _DAPO_TAIL.sub("", _DAPO_HEAD.sub("", text))
