"""Outcome credit: every token of a rollout shares its advantage."""

from __future__ import annotations

from collections.abc import Sequence

from mel.ports import Tokenizer
from mel.types import Group, Replayed


class Outcome:
    """Leaves the carrier's advantages alone (the paper's GRPO term)."""

    name = "outcome"

    def __init__(self, tokenizer: Tokenizer) -> None:
        del tokenizer

    def token_weights(self, groups: Sequence[Group], replayed: Sequence[Replayed]) -> None:
        return None
