"""One generation batch through the three slots of a method: auxiliaries, then the carrier, then credit."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from mel.methods import Method
from mel.ports import Auxiliary, Carrier, Remembering, Requests
from mel.step.accounting import Accounting
from mel.step.changes import Advantages, Share, check_changes, host_advantages, policy_rows
from mel.step.diagnosing import diagnose
from mel.step.gathering import Gathering
from mel.step.idleness import ROLLOUTS, Reasons, idle_rollouts, signs_of
from mel.step.ranks import Ranks, sum_counts
from mel.step.slots import Totals
from mel.types import Group, Outcome, Row

T = TypeVar("T")

Answer = Callable[[Requests[T]], T]
"""Runs a computation to its end, answering its requests."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rolled:
    """What a host rolled out for one generation batch.

    Args:
        groups: of this rank.
        rewards: of all ranks in rank order, one tuple per group; NaN where no reward function applied.
        advantages: the host's own, one per rollout of this rank in order: those of plain `grpo`.
    """

    groups: tuple[Group, ...]
    rewards: tuple[tuple[float, ...], ...]
    advantages: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Learned:
    """What a generation batch adds to the optimizer steps that use it.

    Args:
        rows: of this rank, each with the name of its auxiliary.
        totals: denominators of the rows over all ranks.
        advantages: of the host's own rollouts, in its order; None to keep the host's.
        share: sizes of the policy loss over all ranks.
        outcomes: of this rank, by auxiliary.
        metrics: over all ranks.
        sums: names of those metrics that are counts; one that is missing in a batch is 0 there.
        idle: why the batch taught nothing, by whose reasons these are; see `mel.step.idleness`.
    """

    rows: tuple[Row, ...]
    totals: Totals
    advantages: list[Advantages] | None
    share: Share
    outcomes: Mapping[str, Outcome]
    metrics: Mapping[str, float]
    sums: frozenset[str] = frozenset()
    idle: Mapping[str, Reasons | None] = field(default_factory=dict)

    @property
    def outcome(self) -> Outcome:
        """What all auxiliaries of this rank handed back; `metrics` tells their counts apart, this does not."""
        return merged(self.outcomes.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Report:
    """What every rank tells the others, once per generation batch."""

    counts: dict[str, float]
    signs: dict[str, float]
    seconds: dict[str, float]
    totals: Totals
    share: Share


def learn(
    method: Method,
    rolled: Rolled,
    *,
    step: int,
    answer: Answer,
    ranks: Ranks,
    accounting: Accounting,
    gathering: Gathering | None = None,
) -> Learned:
    """Drive every auxiliary, then carrier and credit, then what is measured; the same collective calls on every rank.

    Args:
        step: 1-based number of the optimizer step that this batch is first used in.
        answer: runs a computation of the method, answering its requests.
        accounting: already holds the rollout's tokens and seconds.
        gathering: what waits from earlier batches; None where no auxiliary gathers.
    """
    accounting.expect(method.phases)
    asked = _Asked(method=method, step=step, answer=answer, accounting=accounting)
    groups, outcomes = _auxiliaries(asked, rolled.groups, gathering or Gathering.of(()), ranks)
    advantages = _advantages(method, rolled, groups, outcomes, answer, ranks, accounting)
    rows = [replace(row, auxiliary=name) for name, outcome in outcomes.items() for row in outcome.rows]
    if advantages is not None:
        rows += policy_rows(rolled.groups, groups, advantages)
    report = _Report(
        counts=_counts(method, rolled.groups, outcomes, rows, accounting),
        signs=signs_of(groups),
        seconds=accounting.seconds,
        totals=Totals.of(rows),
        share=Share.of(rolled.groups, groups),
    )
    reports = ranks.all_of(report)
    _tell(method, reports)
    metrics = _metrics(method, reports, rolled.rewards)
    return Learned(
        rows=tuple(rows),
        totals=Totals.sum([r.totals for r in reports]),
        advantages=None if advantages is None else host_advantages(rolled.groups, groups, advantages),
        share=Share.sum([r.share for r in reports]),
        outcomes=outcomes,
        sums=frozenset(key for r in reports for key in r.counts) & metrics.keys(),
        metrics=metrics | diagnose(method, rolled.groups, outcomes, step=step, answer=answer, ranks=ranks),
        idle=_idle(method, reports, metrics),
    )


def _tell(method: Method, reports: Sequence[_Report]) -> None:
    """Every auxiliary that remembers hears what was counted of it on all ranks."""
    counts = sum_counts(report.counts for report in reports)
    for auxiliary in method.auxiliaries:
        if isinstance(auxiliary, Remembering):
            auxiliary.hear(_own(counts, _namespace(method, auxiliary.name)))


def _own(counts: Mapping[str, float], namespace: str) -> dict[str, float]:
    """The counts of one auxiliary, without its namespace."""
    prefix = f"{namespace}/"
    return {key.removeprefix(prefix): value for key, value in counts.items() if key.startswith(prefix)}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """How auxiliaries are run in one generation batch."""

    method: Method
    step: int
    answer: Answer
    accounting: Accounting

    def run(self, auxiliary: Auxiliary, groups: Sequence[Group]) -> Outcome:
        outcome = self.answer(self.accounting.watch(auxiliary.learn(groups, step=self.step)))
        _check_outcome(self.method, auxiliary.name, outcome)
        return outcome


def _auxiliaries(
    asked: _Asked, groups: Sequence[Group], gathering: Gathering, ranks: Ranks
) -> tuple[tuple[Group, ...], dict[str, Outcome]]:
    """The groups as the last auxiliary left them, and what each handed back."""
    outcomes: dict[str, Outcome] = {}
    declared = {settings.name: settings for settings in asked.method.settings}
    for auxiliary in asked.method.auxiliaries:
        ask = partial(asked.run, auxiliary)
        is_late = auxiliary.name in gathering.waiting
        outcome = gathering.learn(declared[auxiliary.name], groups, ask, ranks=ranks) if is_late else ask(groups)
        if outcome.groups is not None:
            check_changes(groups, outcome.groups, auxiliary.name)
            groups = outcome.groups
        outcomes[auxiliary.name] = outcome
    return tuple(groups), outcomes


def _check_outcome(method: Method, name: str, outcome: Outcome) -> None:
    """Refuses what the host could not weigh.

    Raises:
        ValueError: changed groups without a word in the declaration.
    """
    declared = {settings.name for settings in method.settings if settings.changes_groups}
    if outcome.groups is not None and name not in declared:
        raise ValueError(
            f"auxiliary {name!r} handed back groups, and its settings do not say that it may: set changes_groups "
            "= True in them, for ranks exchange the rewards of changed groups only where that is declared"
        )


def _advantages(
    method: Method,
    rolled: Rolled,
    groups: Sequence[Group],
    outcomes: Mapping[str, Outcome],
    answer: Answer,
    ranks: Ranks,
    accounting: Accounting,
) -> list[list[Advantages]] | None:
    """Per group and rollout the carrier's advantages as credit distributes them; None where the host's own hold."""
    everywhere, start, is_changed = _exchanged(method, rolled, groups, ranks)
    is_own = method.carrier.name == "grpo" and not is_changed
    carried = _by_group(rolled.advantages, groups) if is_own else _carried(method.carrier, everywhere, start, groups)
    assigned = answer(accounting.watch(method.credit.assign(groups, carried, outcomes)))
    if assigned is not None:
        return [[tuple(of_rollout) for of_rollout in of_group] for of_group in assigned]
    return None if is_own else [list(of_group) for of_group in carried]


def _exchanged(
    method: Method, rolled: Rolled, groups: Sequence[Group], ranks: Ranks
) -> tuple[Sequence[Group], int, bool]:
    """The groups that the carrier must see, this rank's first group among them, and whether any rank changed one.

    Ranks exchange what a carrier or an auxiliary declares: all of them run the same method, so all ask or none does.
    """
    needs_all = method.carrier.needs_whole_batch
    if not needs_all and not any(settings.changes_groups for settings in method.settings):
        return groups, 0, False
    is_changed = len(groups) > len(rolled.groups) or any(map(operator.is_not, groups, rolled.groups))
    parts = ranks.all_of((tuple(groups) if needs_all else (), is_changed))
    start = sum(len(part) for part, _ in parts[: ranks.index])
    everywhere = [group for part, _ in parts for group in part] if needs_all else groups
    return everywhere, start, any(changed for _, changed in parts)


def _carried(carrier: Carrier, everywhere: Sequence[Group], start: int, groups: Sequence[Group]) -> list[list[float]]:
    """This rank's advantages; 0 where no reward function scored a rollout, as in TRL."""
    found = carrier.advantages([_without_nan(group) for group in everywhere])[start : start + len(groups)]
    return [
        [0.0 if math.isnan(r) else a for a, r in zip(of_group, group.rewards, strict=True)]
        for of_group, group in zip(found, groups, strict=True)
    ]


def _without_nan(group: Group) -> Group:
    if not any(math.isnan(reward) for reward in group.rewards):
        return group
    rollouts = tuple(replace(r, reward=0.0) if math.isnan(r.reward) else r for r in group.rollouts)
    return replace(group, rollouts=rollouts)


def _by_group(advantages: Sequence[float], groups: Sequence[Group]) -> list[list[float]]:
    flat = iter(advantages)
    return [[next(flat) for _ in group.rollouts] for group in groups]


def merged(outcomes: Iterable[Outcome]) -> Outcome:
    """Rows and replayed in order, counts summed."""
    listed = list(outcomes)
    return Outcome(
        rows=tuple(row for o in listed for row in o.rows),
        replayed=tuple(r for o in listed for r in o.replayed),
        counts=sum_counts(o.counts for o in listed),
    )


def _namespace(method: Method, name: str) -> str:
    """What stands before an auxiliary's metrics: as its settings declare, or its name."""
    return next((settings.prefix() for settings in method.settings if settings.name == name), name)


def _counts(
    method: Method,
    groups: Sequence[Group],
    outcomes: Mapping[str, Outcome],
    rows: Sequence[Row],
    accounting: Accounting,
) -> dict[str, float]:
    """Everything of this rank that is summed over ranks."""
    return {
        "groups": float(len(groups)),
        "groups_mixed": float(sum(g.is_mixed for g in groups)),
        "groups_right": float(sum(g.pass_rate == 1.0 for g in groups)),
        "tokens/rows": float(sum(len(r.target_ids) for r in rows)),
        "tokens/rows_context": float(sum(len(r.context_ids) for r in rows)),
        **accounting.counts(),
        **{
            f"{_namespace(method, name)}/{key}": float(value)
            for name, outcome in outcomes.items()
            for key, value in outcome.counts.items()
        },
    }


def _metrics(method: Method, reports: Sequence[_Report], rewards: Sequence[Sequence[float]]) -> dict[str, float]:
    counts = sum_counts(r.counts for r in reports)
    known = [reward for group in rewards for reward in group if not math.isnan(reward)]
    phases = sorted({phase for r in reports for phase in r.seconds})
    totals = Totals.sum([r.totals for r in reports])
    dummies = sum(totals.most.values()) * len(reports) - totals.num_rows
    groups, mixed, right = (counts.pop(name) for name in ("groups", "groups_mixed", "groups_right"))
    return {
        "reward/mean": sum(known) / len(known) if known else math.nan,
        "reward/groups_mixed": mixed / groups,
        "reward/groups_right": right / groups,
        "reward/groups_wrong": (groups - mixed - right) / groups,
        **counts,
        **_rates(method, counts),
        **{f"time_s/{phase}": max(r.seconds.get(phase, 0.0) for r in reports) for phase in phases},
        "rows/real": float(totals.num_rows),
        "rows/dummy": float(dummies),
    }


def _idle(method: Method, reports: Sequence[_Report], metrics: Mapping[str, float]) -> dict[str, Reasons | None]:
    """Why the batch taught nothing: the rollouts, unless an auxiliary made rows of them, and each auxiliary."""
    signs = sum_counts(r.signs for r in reports)
    rollouts = {} if metrics["rows/real"] else idle_rollouts(signs, reward=metrics["reward/mean"])
    return {ROLLOUTS: rollouts, **{s.name: s.idle(_own(metrics, s.prefix())) for s in method.settings}}


def _rates(method: Method, counts: Mapping[str, float]) -> dict[str, float]:
    """Each auxiliary's declared rates out of the sums over all ranks."""
    found: dict[str, float] = {}
    for settings in method.settings:
        rates = settings.rates_of(_own(counts, settings.prefix()))
        found |= {f"{settings.prefix()}/{name}": rate for name, rate in rates.items()}
    return found
