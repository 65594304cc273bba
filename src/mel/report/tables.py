"""Costs, ledgers, recipes and versions of the arms, as the page's tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mel.record.ledger import KEPT, STAGES, Ledger
from mel.record.metric_names import GENERATED, SECONDS, TRAINED
from mel.report.arms import Arm
from mel.report.curves import logged_by
from mel.report.words import GENERATES, NOT_SHOWN, TAKES, Words, commit_word

NOT_COMPARED = ("name", "description", "output", "trainer.seed", "trainer.data_seed", "evaluation.before")
"""Recipe keys that say nothing about what is compared; one cell of a study evaluates the untrained policy for all."""

PRESENT = "as in the recipe below"
"""What stands for a section of a list, such as an auxiliary, that only one of two recipes has."""

VERSIONS = ("mel", "commit", "python", "platform", "cores", "processes")
"""Keys of environment.json that the table of versions shows, before the versions of the libraries."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """A kind of tokens or seconds: what each arm spent on it per run; None where nothing was counted."""

    title: str
    note: str
    values: tuple[float | None, ...]
    is_total: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeChanges:
    """What the recipe of an arm changes against that of an earlier one.

    Args:
        like: the earlier arm whose recipe is most like it.
        keys: key, the arm's value, and the value of that arm; `-` where it has none.
    """

    arm: str
    like: str
    keys: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerRow:
    """The ledger of an arm, summed over its runs.

    Args:
        stages: word, count, meaning and the count that it is a part of; a stage is a part of the last one before it
            that is not empty.
        failures: reason -> how many were not kept for it, most frequent first.
    """

    arm: str
    color: int
    counts: Ledger
    stages: tuple[tuple[str, int, str, int], ...]
    failures: tuple[tuple[str, int], ...]


def costs(arms: Sequence[Arm], words: Words) -> list[Cost]:
    """Tokens and seconds by phase, mean per run of each arm, with the totals behind each kind."""
    found = []
    totals = (GENERATED, TRAINED, SECONDS)
    paths = [p for p in logged_by(arms) if p.startswith((GENERATES, TAKES)) and (p in totals or p not in NOT_SHOWN)]
    for path in sorted(paths, key=lambda p: (not p.startswith(GENERATES), p in totals, p)):
        per_arm = [[v for run in arm.runs if (v := run.total(path)) is not None] for arm in arms]
        values = tuple(sum(v) / len(v) if any(v) else None for v in per_arm)
        title, note = words.of(path)
        if any(values):
            found.append(Cost(title=title, note=note, values=values, is_total=path in totals))
    return found


def ledgers(arms: Sequence[Arm]) -> list[LedgerRow]:
    """One row for every arm that holds an experience."""
    summed = [Ledger.sum(run.ledger for run in arm.runs) for arm in arms]
    return [
        LedgerRow(
            arm=arm.name,
            color=color,
            counts=counts,
            stages=_stages(counts),
            failures=tuple(item for item in counts.reasons.items() if item[0] != KEPT),
        )
        for color, (arm, counts) in enumerate(zip(arms, summed, strict=True))
        if counts.candidates
    ]


def recipe_changes(arms: Sequence[Arm]) -> list[RecipeChanges]:
    """What each arm but the first changes against the earlier arm that is most like it, the first of several."""
    flat = [_flat(arm.runs[0].recipe) for arm in arms]
    found = []
    for place in range(1, len(arms)):
        own = flat[place]
        like = min(range(place), key=lambda other: sum(1 for _ in _differing(own, flat[other])))
        keys = tuple(_changed(own, flat[like]))
        found.append(RecipeChanges(arm=arms[place].name, like=arms[like].name, keys=keys))
    return found


def versions(arms: Sequence[Arm]) -> list[tuple[str, str]]:
    """What the runs were made with; where they differ, every value."""
    seen: dict[str, dict[str, None]] = {}
    for arm in arms:
        for run in arm.runs:
            libraries = run.environment.get("versions")
            shown = {key: run.environment.get(key) for key in VERSIONS}
            shown["commit"] = commit_word(shown["commit"])
            shown |= libraries if isinstance(libraries, Mapping) else {}
            for name, value in shown.items():
                if value not in (None, ""):
                    seen.setdefault(name, {})[str(value)] = None
    return [(name, ", ".join(values)) for name, values in seen.items()]


def _stages(counts: Ledger) -> tuple[tuple[str, int, str, int], ...]:
    found: list[tuple[str, int, str, int]] = []
    for word, field, meaning in STAGES:
        count = getattr(counts, field)
        before = [whole for _, whole, _, _ in found if whole]  # without a replay what is kept was parsed
        found.append((word, count, meaning, before[-1] if before else count))
    return tuple(found)


def _differing(own: Mapping[str, str], other: Mapping[str, str]) -> Iterator[str]:
    return (k for k in sorted({*own, *other}) if own.get(k) != other.get(k) and not k.startswith(NOT_COMPARED))


def _changed(own: Mapping[str, str], other: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """The keys that differ; a section that only one of the two has is one line."""
    whole = ""
    for key in _differing(own, other):
        if whole and key.startswith(whole):
            continue
        whole = f"{key}." if PRESENT in (own.get(key), other.get(key)) else ""
        yield key, own.get(key, "-"), other.get(key, "-")


def _flat(value: Any, at: str = "") -> dict[str, str]:
    """Key with dots -> value as JSON; the entries of a list of named sections go by their names."""
    if isinstance(value, Mapping):
        found: dict[str, str] = {}
        for key, item in value.items():
            found |= _flat(item, f"{at}.{key}" if at else str(key))
        return found
    if isinstance(value, list) and value and all(isinstance(item, Mapping) and "name" in item for item in value):
        named = {f"{at}.{item['name']}": {k: v for k, v in item.items() if k != "name"} for item in value}
        found = dict.fromkeys(named, PRESENT)
        for key, item in named.items():
            found |= _flat(item, key)
        return found
    if value in ([], {}):
        return {}
    return {at: json.dumps(value, ensure_ascii=False, default=str)}
