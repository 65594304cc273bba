"""The text of a cell: what tasks, hosts and the reward function read out of a column whose values have many forms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def gold_text(raw: Any, field: str = "answer") -> str:
    """An answer column as text: a list of answers joined by commas, a whole float without its `.0`; empty for none.

    Raises:
        ValueError: an object, whose answer is in one of its fields.
    """
    if isinstance(raw, Sequence) and not isinstance(raw, str | bytes):
        return ", ".join(filter(None, (gold_text(item, field) for item in raw)))
    if isinstance(raw, float):
        if math.isnan(raw):
            return ""
        # Beyond 2^53 a float is not the integer that was meant: its digits would be invented.
        return str(int(raw)) if raw.is_integer() and abs(raw) <= 2**53 else str(raw)
    return plain_text(raw, field)


def plain_text(raw: Any, field: str) -> str:
    """A cell as text; empty for none.

    Raises:
        ValueError: an object or bytes.
    """
    if isinstance(raw, Mapping):
        keys = list(map(str, raw))
        raise ValueError(
            f"expected text in the column {field}, got an object with {', '.join(keys) or 'nothing in it'}: name the "
            f"field that holds it, such as {field}.{keys[0] if keys else 'value'}"
        )
    if isinstance(raw, bytes):
        raise ValueError(f"expected text in the column {field}, got {len(raw)} bytes: store it as text")
    return "" if raw is None else str(raw)
