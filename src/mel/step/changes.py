"""Groups that an auxiliary changed: which rollouts the host did not sample, and how they join the policy loss.

A rollout that was added, put in another's place, or stands in a further group, becomes a `policy` row. One that was
replaced keeps its place in the host's tensors with advantage 0. So the policy loss is a mean over the rollouts of the
changed groups: what the host divides by its own number of rollouts is multiplied by `Share.of_host`, and a row is
divided by `Share.rollouts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from mel.types import Group, Rollout, Row

Advantages = float | Sequence[float]
"""Of one rollout: one for all of its tokens, or one per token."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """Sizes of the policy loss of one generation batch over all ranks.

    Args:
        host_rollouts, host_tokens: rollouts, and their tokens, that the host sampled.
        rollouts, tokens: those of the groups as they are learned from; given tokens (hints) do not count.
    """

    host_rollouts: int
    host_tokens: int
    rollouts: int
    tokens: int

    @classmethod
    def of(cls, given: Sequence[Group], learned: Sequence[Group]) -> Share:
        """The sizes on one rank."""
        host = [rollout for group in given for rollout in group.rollouts]
        final = [rollout for group in learned for rollout in group.rollouts]
        return cls(
            host_rollouts=len(host),
            host_tokens=sum(rollout.num_sampled for rollout in host),
            rollouts=len(final),
            tokens=sum(rollout.num_sampled for rollout in final),
        )

    @classmethod
    def sum(cls, parts: Iterable[Share]) -> Share:
        """The sizes over all ranks."""
        parts = list(parts)
        return cls(**{field.name: sum(getattr(part, field.name) for part in parts) for field in fields(cls)})


def check_changes(given: Sequence[Group], changed: Sequence[Group], who: str) -> None:
    """Refuses groups that cannot be put back to those that came in.

    Raises:
        ValueError: another number of groups, groups in another order, fewer rollouts, or a rollout without a sampled
            token. A group may be of another problem if none of its rollouts came in.
    """
    if len(changed) < len(given):
        raise ValueError(f"auxiliary {who!r}: expected one group per group that came in, in order; got {len(changed)}")
    for more in changed[len(given) :]:
        if not more.rollouts or any(rollout.num_sampled < 1 for rollout in more.rollouts):
            raise ValueError(f"auxiliary {who!r}: a further group of problem {more.problem.id} holds no sampled token")
    hosts = {id(rollout) for group in given for rollout in group.rollouts}
    for old, new in zip(given, changed, strict=False):
        if len(new.rollouts) < len(old.rollouts):
            raise ValueError(
                f"auxiliary {who!r}: expected at least {len(old.rollouts)} rollouts of problem {old.problem.id} "
                f"(replace one in its place, add behind them), got {len(new.rollouts)}"
            )
        own = [rollout for rollout in new.rollouts if id(rollout) not in hosts]
        if new.problem.id != old.problem.id and len(own) < len(new.rollouts):
            raise ValueError(
                f"auxiliary {who!r}: expected a group of problem {old.problem.id}, or one of another problem without "
                f"rollouts that came in; got problem {new.problem.id} with {len(new.rollouts) - len(own)} of them"
            )
        if any(rollout.num_sampled < 1 for rollout in own):
            raise ValueError(f"auxiliary {who!r}: a rollout of problem {new.problem.id} holds no sampled token")


def is_hosts(given: Group | None, changed: Group, position: int) -> bool:
    """Whether the rollout at that position is still the one that the host sampled there; None: a further group."""
    if given is None or position >= len(given.rollouts):
        return False
    return changed.rollouts[position] is given.rollouts[position]


def policy_rows(
    given: Sequence[Group], changed: Sequence[Group], advantages: Sequence[Sequence[Advantages]]
) -> list[Row]:
    """A `policy` row for every rollout that the host did not sample.

    Args:
        advantages: of the changed groups, per rollout.
    """
    return [
        _row(new, rollout, of_rollout)
        for place, (new, of_group) in enumerate(zip(changed, advantages, strict=True))
        for position, (rollout, of_rollout) in enumerate(zip(new.rollouts, of_group, strict=True))
        if not is_hosts(given[place] if place < len(given) else None, new, position)
    ]


def host_advantages(
    given: Sequence[Group], changed: Sequence[Group], advantages: Sequence[Sequence[Advantages]]
) -> list[Advantages]:
    """The advantages of the host's own rollouts, in its order: 0 for those that were replaced."""
    return [
        of_group[position] if is_hosts(old, new, position) else 0.0
        for old, new, of_group in zip(given, changed, advantages, strict=False)
        for position in range(len(old.rollouts))
    ]


def _row(group: Group, rollout: Rollout, advantages: Advantages) -> Row:
    count = len(rollout.token_ids)
    per_token = [advantages] * count if isinstance(advantages, float | int) else list(advantages)
    if rollout.token_weights:
        per_token = [a * weight for a, weight in zip(per_token, rollout.token_weights, strict=True)]
    is_sampled = tuple(i not in rollout.hint for i in range(count))
    return Row(
        context_ids=group.prompt_ids if rollout.context_ids is None else rollout.context_ids,
        target_ids=rollout.token_ids,
        term="policy",
        advantages=tuple(a if sampled else 0.0 for a, sampled in zip(per_token, is_sampled, strict=True)),
        is_sampled=is_sampled,
    )
