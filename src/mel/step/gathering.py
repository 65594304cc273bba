"""Groups of several generation batches learned from at once, one batch late or more, and their rows spread again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from mel.methods import AuxiliarySettings
from mel.step.ranks import Ranks
from mel.types import Group, Outcome, Row


class Waiting(TypedDict):
    """What is kept of one auxiliary between batches, on one rank: a part of a checkpoint.

    Args:
        batches: generation batches so far.
        groups: of the batches since it was last asked.
        rows: those that are still to be learned, by batch, the next one first.
    """

    batches: int
    groups: tuple[Group, ...]
    rows: tuple[tuple[Row, ...], ...]


@dataclass(kw_only=True, slots=True)
class Gathering:
    """Lets an auxiliary that gathers wait until its batches are together; any other learns from each batch.

    A decode step costs a GPU or a CPU about as much for a few sequences as for many, so one call for several batches is
    cheaper than a call for each. All ranks count the same batches, so all of them ask or none does. What waits when a
    run ends is not learned; the counts `waiting/groups` and `waiting/rows` of its last batch say how much that is.
    """

    waiting: dict[str, Waiting]

    @classmethod
    def of(cls, settings: Sequence[AuxiliarySettings]) -> Gathering:
        """Nothing waits yet of those that gather."""
        names = [s.name for s in settings if s.gathers > 1]
        return cls(waiting={name: Waiting(batches=0, groups=(), rows=()) for name in names})

    def learn(
        self,
        settings: AuxiliarySettings,
        groups: Sequence[Group],
        ask: Callable[[Sequence[Group]], Outcome],
        *,
        ranks: Ranks,
    ) -> Outcome:
        """What the auxiliary hands back in this batch: rows of this batch's share, and all else when it was asked.

        Args:
            ask: runs the auxiliary on groups.
            ranks: tell each other how many rows they made, once whenever the auxiliary is asked.

        Raises:
            ValueError: rows whose samples must be learned in the step that drew them.
        """
        now = self.waiting[settings.name]
        now = Waiting(batches=now["batches"] + 1, groups=(*now["groups"], *groups), rows=now["rows"])
        outcome = Outcome(counts=_nothing(settings))
        if now["batches"] % settings.gathers == 0:
            outcome = ask(now["groups"])
            _check(settings.name, outcome.rows)
            before = sum(ranks.all_of(len(outcome.rows))[: ranks.index])
            rows = spread(now["rows"], outcome.rows, settings, first=before)
            now = Waiting(batches=now["batches"], groups=(), rows=rows)
        rows, later = (now["rows"][0], now["rows"][1:]) if now["rows"] else ((), ())
        self.waiting[settings.name] = Waiting(batches=now["batches"], groups=now["groups"], rows=later)
        counts = {"waiting/groups": len(now["groups"]), "waiting/rows": sum(map(len, later))}
        return replace(outcome, rows=rows, counts={**outcome.counts, **counts})


def spread(
    waiting: Sequence[Sequence[Row]], rows: Sequence[Row], settings: AuxiliarySettings, *, first: int = 0
) -> tuple[tuple[Row, ...], ...]:
    """The rows dealt out to as many batches as were gathered, in turn, behind what these were to learn already.

    Args:
        first: rows of the ranks before this one. Ranks that each began with the next batch would together give it a
            row each and the last batch none, where each has few.
    """
    count = settings.gathers
    before = [tuple(of_batch) for of_batch in waiting] + [()] * (count - len(waiting))
    return tuple((*of_batch, *rows[(i - first) % count :: count]) for i, of_batch in enumerate(before))


def _check(name: str, rows: Sequence[Row]) -> None:
    if any(row.term == "policy" for row in rows):
        raise ValueError(
            f"auxiliary {name!r} gathers batches and made policy rows: the policy changes before these are learned, "
            "and nothing holds the log-probabilities under which they were sampled; let it learn from each batch"
        )


def _nothing(settings: AuxiliarySettings) -> Mapping[str, float]:
    """What its rates are made of, counted as nothing: metrics are averaged over batches, and one left out would
    raise the mean."""
    return dict.fromkeys((name for parts in settings.rates.values() for name in parts), 0.0)
