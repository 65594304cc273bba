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
        self._in_a_row: dict[str, dict[str, int]] = {}
        self._said: set[tuple[str, str]] = set()

    def after(self, idle: Mapping[str, Reasons | None]) -> list[str]:
        """What to warn of after a batch: of the reasons that held long enough the first, unless it was said before.

        Args:
            idle: by whose they are; empty reasons for one that learned, None for one that had nothing to learn from,
                whose count stays.
        """
        return [text for owner, reasons in idle.items() if reasons is not None for text in self._due(owner, reasons)]

    def _due(self, owner: str, reasons: Reasons) -> list[str]:
        before = self._in_a_row.get(owner, {})
        held = self._in_a_row[owner] = {name: before.get(name, 0) + 1 for name in reasons}
        due = next((name for name, count in held.items() if count >= self._batches), None)
        if due is None or (owner, due) in self._said:
            return []
        self._said.add((owner, due))
        whose = f"{owner}: " if owner else ""
        return [f"{whose}nothing was learned in {self._batches} generation batches: {reasons[due]}"]
