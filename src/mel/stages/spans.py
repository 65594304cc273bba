"""Spans: which tokens of a rollout are which step's, for any tokenizer; the one map that credit rules read steps by."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from mel.ports import Tokenizer
from mel.types import Step, TokenIds


def step_spans(token_ids: Sequence[int], steps: Sequence[Step], tokenizer: Tokenizer) -> tuple[range, ...]:
    """One range of token positions per step, contiguous and in order; none for no steps.

    A step begins with the first token that holds a part of its text, so a token that reaches over from one step into
    the next is the next one's, and a step that lies within one such token has an empty range. The bytes of a character
    that is split over tokens stay together. White space between two steps, and tokens without text (special ones),
    belong to the earlier step. Tokens before the first step and behind the last are no step's.

    Args:
        steps: of `tokenizer.decode(token_ids)`, in order.
    """
    if not steps:
        return ()
    chars = [*(step.start for step in steps), steps[-1].end]
    cuts = [tokenizer.token_index(token_ids, char) for char in chars]
    return tuple(range(start, stop) for start, stop in pairwise(cuts))


def without_end(token_ids: TokenIds, tokenizer: Tokenizer) -> TokenIds:
    """The tokens without those behind their text, above all an end of sequence: what is continued must hold none."""
    text = tokenizer.decode(token_ids)
    while token_ids and tokenizer.decode(token_ids[:-1]) == text:
        token_ids = token_ids[:-1]
    return token_ids


def covering(spans: Sequence[range], length: int) -> tuple[range, ...]:
    """The same spans, the first and the last extended over all `length` tokens; one span if there was none."""
    if not spans:
        return (range(length),)
    cuts = [0, *(span.start for span in spans[1:]), length]
    return tuple(range(start, stop) for start, stop in pairwise(cuts))


def joined(steps: Sequence[Step], most: int) -> tuple[Step, ...]:
    """At most `most` steps over the same text: neighbors are joined, as equal a number to each as can be."""
    count = len(steps)
    if count <= most:
        return tuple(steps)
    cuts = [part * count // most for part in range(most + 1)]
    parts = [(steps[a].start, steps[b - 1].end) for a, b in pairwise(cuts)]
    return tuple(Step(number=i, start=start, end=end) for i, (start, end) in enumerate(parts, 1))
