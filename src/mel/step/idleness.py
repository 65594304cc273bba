"""Generation batches that teach nothing: why, and when it is worth a warning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from mel.types import Group

BATCHES = 10
"""So many batches that taught nothing for the same reason are no accident of sampling."""

Reasons = Mapping[str, str]
"""A word for each reason why a batch taught nothing -> what to say of it, causes before what follows from them."""

ROLLOUTS = ""
"""Whose reasons these are: the rollouts', or those of the auxiliary of that name."""


def signs_of(groups: Sequence[Group]) -> dict[str, float]:
    """What the reasons are read from, to be summed over ranks."""
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    judged = Counter(f"judged/{r.verdict.reason}" for r in rollouts if not r.verdict.is_correct)
    return {
        "mixed": float(sum(group.is_mixed for group in groups)),
        "rollouts": float(len(rollouts)),
        "truncated": float(sum(rollout.is_truncated for rollout in rollouts)),
        **{name: float(count) for name, count in judged.items()},
    }


def idle_rollouts(signs: Mapping[str, float], *, reward: float) -> Reasons:
    """Why no group of a batch has both right and wrong rollouts; no reason if one has.

    Args:
        signs: of all ranks.
        reward: the mean over the batch.
    """
    if signs["mixed"] or not signs["rollouts"]:
        return {}
    found: dict[str, str] = {}
    if signs["truncated"] == signs["rollouts"]:
        found["truncated"] = "every rollout was cut off at its token limit: raise max_completion_length"
    judged = {name.removeprefix("judged/"): n for name, n in signs.items() if name.startswith("judged/")}
    found |= {reason: _judged(reason) for reason, n in judged.items() if n == signs["rollouts"] and reason != "wrong"}
    found["not_mixed"] = (
        f"no group has both right and wrong rollouts (mean reward {reward:.2f}): take easier or harder problems, more "
        "rollouts of each (num_generations) or a higher temperature"
    )
    return found


def _judged(reason: str) -> str:
    if reason == "no_final_answer":
        return (
            "no rollout states a final answer in the form that the verifier reads: ask for that form in the prompt "
            "(task.prompts of a recipe, the rows' prompt under MELTrainer), and leave room for it "
            "(max_completion_length)"
        )
    return (
        f"every rollout was judged {reason!r}: look at the verifier, at its limits and at the answers of the problems"
    )


class Patience:
    """Counts idle batches and speaks once per reason.

    Args:
        batches: so many in a row are worth a warning.
    """

    def __init__(self, batches: int = BATCHES) -> None:
        self._batches = batches
        self._in_a_row: Counter[str] = Counter()
        self._held: dict[str, Counter[str]] = {}
        self._said: set[tuple[str, str]] = set()
        self._texts: dict[tuple[str, str], str] = {}

    def after(self, idle: Mapping[str, Reasons | None]) -> list[str]:
        """What to warn of after a batch: once so many in a row taught nothing, the reason that most of them had.

        Of reasons that hold equally often the first counts, and none is said twice.

        Args:
            idle: by whose they are; empty reasons for one that learned, None for one that had nothing to learn from,
                whose count stays.
        """
        return [text for owner, reasons in idle.items() if reasons is not None for text in self._due(owner, reasons)]

    def _due(self, owner: str, reasons: Reasons) -> list[str]:
        if not reasons:
            self._in_a_row[owner], self._held[owner] = 0, Counter()
            return []
        self._in_a_row[owner] += 1
        held = self._held.setdefault(owner, Counter())
        held.update(reasons.keys())
        self._texts |= {(owner, name): text for name, text in reasons.items()}
        due = owner, max(held, key=lambda name: held[name])
        if self._in_a_row[owner] < self._batches or due in self._said:
            return []
        self._said.add(due)
        whose = f"{owner}: " if owner else ""
        return [f"{whose}nothing was learned in {self._batches} generation batches: {self._texts[due]}"]
