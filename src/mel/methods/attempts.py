"""Attempts: further rollouts of a batch's problems, sampled in one request and judged in another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mel.methods.declaration import Surroundings
from mel.methods.drive import completed, verified
from mel.ports import Requests
from mel.requests import Generate, Verify
from mel.stages.join import as_rollout, has_sample, with_more
from mel.types import Group, Rollout, Sampling, TokenIds


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Where a further attempt begins.

    Args:
        place: position of its group among those of the batch; matters where the attempt joins that group.
        given: tokens that it begins with and that are not sampled.
        context_ids: what comes before them, where that is not the group's prompt.
        judged_behind: what the verifier reads in the place of `given`, where that holds more than a solution does: a
            wrong step, and words about it.
    """

    place: int = 0
    group: Group
    given: TokenIds = ()
    context_ids: TokenIds | None = None
    judged_behind: TokenIds | None = None

    @property
    def prompt_ids(self) -> TokenIds:
        return (self.group.prompt_ids if self.context_ids is None else self.context_ids) + self.given


def attempts(starts: Sequence[Start], sampling: Sampling, phase: str, at: Surroundings) -> Requests[list[Rollout]]:
    """One judged rollout per start, in order: always one `Generate` and one `Verify`, for no start too."""
    prompts = tuple(start.prompt_ids for start in starts)
    completions = yield from completed(Generate(prompts=prompts, sampling=sampling, phase=phase))
    texts = [at.tokenizer.decode(s.given + c.token_ids) for s, c in zip(starts, completions, strict=True)]
    judged = tuple(
        text if start.judged_behind is None else at.tokenizer.decode(start.judged_behind + completion.token_ids)
        for start, completion, text in zip(starts, completions, texts, strict=True)
    )
    verdicts = yield from verified(Verify(problems=tuple(s.group.problem for s in starts), responses=judged))
    return [
        as_rollout(completion, verdict, text=text, given=start.given, context_ids=start.context_ids)
        for start, completion, verdict, text in zip(starts, completions, verdicts, texts, strict=True)
    ]


def success_rates(
    starts: Sequence[Start], samples: int, sampling: Sampling, phase: str, at: Surroundings
) -> Requests[list[float]]:
    """Share of right attempts, 0 to 1, among `samples` from each start, in order; the requests of `attempts`."""
    made = yield from attempts([start for start in starts for _ in range(samples)], sampling, phase, at)
    right = [rollout.verdict.is_correct for rollout in made]
    return [sum(right[i : i + samples]) / samples for i in range(0, len(right), samples)]


def own_groups(
    starts: Sequence[Start], rollouts: Sequence[Rollout], size: int, counts: Counter[str]
) -> tuple[Group, ...]:
    """A group of its own for every `size` attempts from one start, if its rollouts differ in outcome.

    Others would have advantage 0 under every carrier that compares within a group; they are counted and left out.
    """
    counts["attempts"] += len(rollouts)
    counts["right"] += sum(rollout.verdict.is_correct for rollout in rollouts)
    found = [
        replace(starts[first].group, rollouts=tuple(r for r in rollouts[first : first + size] if has_sample(r)))
        for first in range(0, len(starts), size)
    ]
    counts["skipped/uniform"] += sum(not group.is_mixed for group in found)
    return tuple(group for group in found if group.is_mixed)


def added(
    groups: Sequence[Group], starts: Sequence[Start], rollouts: Sequence[Rollout], counts: Counter[str]
) -> tuple[Group, ...]:
    """The groups with each rollout behind those of its group; joined, right and empty ones are counted."""
    more: dict[int, list[Rollout]] = {}
    for start, rollout in zip(starts, rollouts, strict=True):
        if has_sample(rollout):
            more.setdefault(start.place, []).append(rollout)
    joined = [rollout for of_group in more.values() for rollout in of_group]
    counts["added"] += len(joined)
    counts["right"] += sum(rollout.verdict.is_correct for rollout in joined)
    counts.update({"empty": empty} if (empty := len(rollouts) - len(joined)) else {})
    return tuple(with_more(group, more.get(place, ())) for place, group in enumerate(groups))
