"""Tokens and seconds by phase: what a generation batch cost, and where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from time import perf_counter
from typing import TypeVar

from mel.ports import Requests
from mel.requests import Generate, phase_of
from mel.types import Completion

T = TypeVar("T")


class Accounting:
    """Sums over the phases of one generation batch, on this rank.

    `tokens` counts completion tokens by phase, with 0 where a phase wrote none: what is logged is averaged over
    batches, and one left out would raise the mean. `seconds` holds wall time by phase, verification under `verify`.
    """

    def __init__(self) -> None:
        self.tokens: Counter[str] = Counter(rollout=0)
        self.seconds: dict[str, float] = {}

    def expect(self, phases: Iterable[str]) -> None:
        """Phases that a method declares: each is counted, whether or not this batch generates in it."""
        self.tokens.update(dict.fromkeys(phases, 0))

    def add_seconds(self, phase: str, since: float) -> None:
        """Adds the time that passed since `since`, a value of `perf_counter`."""
        self.seconds[phase] = self.seconds.get(phase, 0.0) + perf_counter() - since

    def watch(self, requests: Requests[T]) -> Requests[T]:
        """The same requests and answers, with what each answer took noted under its phase."""
        try:
            request = next(requests)
            while True:
                begin = perf_counter()
                answers = yield request
                phase = phase_of(request)
                self.add_seconds(phase, begin)
                if isinstance(request, Generate):
                    self.tokens[phase] += sum(len(a.token_ids) for a in answers if isinstance(a, Completion))
                request = requests.send(answers)
        except StopIteration as stop:
            return stop.value

    def counts(self) -> dict[str, float]:
        """`tokens/<phase>`, to be summed over ranks."""
        return {f"tokens/{phase}": float(n) for phase, n in self.tokens.items()}
