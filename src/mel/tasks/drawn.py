"""Splits of problems that are drawn and not read: the checksum of a text says in which one it may occur."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping

SHARES: Mapping[str, range] = {"train": range(6), "validation": range(6, 7), "test": range(7, 8)}
"""Split -> the classes, of eight, that a text's checksum may fall in: no text is in two splits."""


def split_of(text: str, shares: Mapping[str, range] = SHARES) -> str:
    """The one split that a text can occur in."""
    share = zlib.crc32(text.encode()) % 8
    return next(split for split, classes in shares.items() if share in classes)


def refuse_unknown(split: str, splits: Collection[str], *, task: str) -> None:
    """Refuse a split that the task does not have.

    Raises:
        ValueError: with those that it has.
    """
    if split not in splits:
        raise ValueError(f"{task}: expected a split of {', '.join(splits)}; got {split!r}")
