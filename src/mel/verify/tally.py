"""Verdicts counted by their reason, for a verifier's own sums and for the training log."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

from mel.types import Verdict
from mel.verify.worker import Judgment


class Tally:
    """Counts verdicts from any thread; `metrics` reads and clears a copy of the counts."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """By reason since the start, with whatever else a verifier counts."""
        self._since: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, verdicts: Sequence[Verdict], **further: int) -> None:
        """Count these verdicts, and what else is given by name."""
        found = Counter(verdict.reason for verdict in verdicts) + Counter(further)
        with self._lock:
            self.counts.update(found)
            self._since.update(found)

    def metrics(self) -> dict[str, float]:
        """`verifier/<reason>` -> count since the last call."""
        with self._lock:
            since, self._since = self._since, Counter()
        return {f"verifier/{reason}": float(count) for reason, count in sorted(since.items())}


def verdict_of(judgment: Judgment) -> Verdict:
    """The verdict that a worker's judgment states."""
    return Verdict(is_correct=judgment.is_correct, reason=judgment.reason, detail=judgment.detail, score=judgment.score)
