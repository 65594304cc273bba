"""Requests with typed answers, for methods: `completions = yield from completed(Generate(...))`."""

from __future__ import annotations

from typing import cast

from mel.ports import Logprobs, Requests
from mel.types import Completion, Generate, Score, Verdict, Verify


def completed(request: Generate) -> Requests[list[Completion]]:
    """One completion per prompt, in order; `drive` has checked number and kind."""
    return cast(list[Completion], list((yield request)))


def verified(request: Verify) -> Requests[list[Verdict]]:
    """One verdict per response, in order; `drive` has checked number and kind."""
    return cast(list[Verdict], list((yield request)))


def scored(request: Score) -> Requests[list[Logprobs]]:
    """One tuple of log-probabilities per target, in order; `drive` has checked their number and lengths."""
    return cast(list[Logprobs], list((yield request)))
