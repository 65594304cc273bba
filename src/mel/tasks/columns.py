"""What stands in the columns of a data set: questions, golds, and how to get at them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mel.verify import last_boxed

Extractor = Callable[[str], str | None]
"""Finds the gold in the text of an answer column; None if it is not there."""

# BytedTsinghua-SIA/DAPO-Math-17k wraps every question; the solve prompt is ours to choose.
_DAPO_HEAD = re.compile(
    r"\A\s*Solve the following math problem step by step\. The last line of your response should be.*?\n\n", re.S
)
_DAPO_TAIL = re.compile(r"\n\s*Remember to put your answer on its own line after \"Answer:\"\.?\s*\Z")


def value(record: Mapping[str, Any], field: str) -> Any:
    """Value of a column, or of a nested one (`reward_model.ground_truth`); None if it is not there."""
    found: Any = record
    for key in (field,) if field in record else field.split("."):
        if not isinstance(found, Mapping) or key not in found:
            return None
        found = found[key]
    return found


def first_present(record: Mapping[str, Any], fields: Sequence[str]) -> str | None:
    """The first of these columns that the record has."""
    return next((field for field in fields if value(record, field) is not None), None)


def extractor(name: str) -> Extractor:
    """The function that finds the gold in an answer column.

    Raises:
        ValueError: neither a known name nor a regular expression with one group.
    """
    named: dict[str, Extractor] = {
        "text": lambda text: text.strip() or None,
        "boxed": lambda text: last_boxed(text),
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


def question_text(raw: Any) -> str:
    """The question of a column: text, or the last user turn of a conversation without its usual instruction."""
    if isinstance(raw, Sequence) and not isinstance(raw, str):
        turns = [turn for turn in raw if isinstance(turn, Mapping)]
        raw = next((turn.get("content") for turn in reversed(turns) if turn.get("role") == "user"), "")
    return _without_instruction(str(raw or "")).strip()


def _without_instruction(text: str) -> str:
    return _DAPO_TAIL.sub("", _DAPO_HEAD.sub("", text))


def gold_text(raw: Any) -> str:
    """An answer column as text: a list of answers joined by commas, a whole float without its `.0`."""
    if isinstance(raw, Sequence) and not isinstance(raw, str):
        return ", ".join(gold_text(item) for item in raw)
    return str(int(raw)) if isinstance(raw, float) and raw.is_integer() else str(raw)
