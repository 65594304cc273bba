"""Credit up to the first error: a wrong rollout was still right before s* (Cliff 2609.02817, VPPO 2601.18984)."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from mel.types import Group, Replayed, Step

Form = Literal["excuse", "cliff", "vppo"]
Shorten = Literal["prompt", "share", "none"]

SHORTENED_SHARE = 0.1
"""Of a rollout's tokens, which `shorten: share` takes off its right prefix."""


def located_errors(groups: Sequence[Group], replayed: Sequence[Replayed]) -> dict[tuple[int, int], Step]:
    """The step s* of each wrong rollout for which one is known, by the positions of group and rollout.

    Only kept experiences count: a located step whose replay failed is not evidence. Of several kept
    experiences about one rollout the earliest s* decides, which excuses the fewest tokens.
    """
    # By identity: two rollouts may read alike, and one that was replaced has lost its experience.
    position = {id(r): (i, j) for i, group in enumerate(groups) for j, r in enumerate(group.rollouts)}
    found: dict[tuple[int, int], Step] = {}
    for item in replayed:
        pair, experience = item.candidate.pair, item.candidate.experience
        if not item.is_kept or experience is None or id(pair.wrong) not in position:
            continue
        key, step = position[id(pair.wrong)], pair.wrong_steps[experience.bifurcation - 1]
        if key not in found or step.number < found[key].number:
            found[key] = step
    return found


def excused(group: Group, advantages: Sequence[float], starts: Sequence[int | None]) -> list[list[float]]:
    """Per rollout and token: 0 on the tokens before s*, the rollout's advantage elsewhere.

    Args:
        starts: per rollout the number of tokens before s*; None where no s* is known.
    """
    return [
        _two_parts(0.0, a, start or 0, len(rollout.token_ids))
        for rollout, a, start in zip(group.rollouts, advantages, starts, strict=True)
    ]


def zero_sum(
    group: Group, advantages: Sequence[float], starts: Sequence[int | None], *, share: float
) -> list[list[float]]:
    """Cliff: `share` times the advantage of right rollouts before s*, then all tokens of the group centered.

    A_right - b on right rollouts; share * A_right - b before s* of a wrong one and A_wrong - b from there on, where b
    is the mean over all tokens of the group, so that the advantages of its tokens sum to zero. A truncated rollout
    has no right prefix. A group in which no error was located keeps its carrier's advantages, as Cliff's does where its
    teacher fails.

    Args:
        advantages: the carrier's; those of `grpo` are Cliff's up to its sample deviation and epsilon.
        starts: as for `excused`.
        share: Cliff's lambda; 0 in the paper, since more rewards long prefixes.
    """
    lengths = [len(rollout.token_ids) for rollout in group.rollouts]
    if all(start is None for start in starts):
        return [[a] * length for a, length in zip(advantages, lengths, strict=True)]
    right = [a for rollout, a in zip(group.rollouts, advantages, strict=True) if rollout.verdict.is_correct]
    good = share * fmean(right) if right else 0.0
    prefixes = [0 if r.is_truncated else start or 0 for r, start in zip(group.rollouts, starts, strict=True)]
    values = [
        _two_parts(good, a, prefix, length) for a, prefix, length in zip(advantages, prefixes, lengths, strict=True)
    ]
    baseline = sum(map(sum, values)) / max(sum(lengths), 1)
    return [[value - baseline for value in of_rollout] for of_rollout in values]


def rewarded_prefix(
    group: Group, starts: Sequence[int | None], *, alpha: float, shorten: Shorten, never_negative: bool
) -> list[list[float]]:
    """VPPO: 1 on right rollouts, alpha on the right prefix of wrong ones, 0 behind, less the group's mean (eq. 7).

    The mean is over rollouts, each with the mean of its own tokens: 1 if it is right, alpha * |prefix| / |rollout| if
    not. There is no standard deviation, and the carrier's advantages are not used.

    Args:
        starts: as for `excused`.
        shorten: what is taken off a prefix, so that splitting steps does not pay: as many tokens as the prompt has
            (the paper's choice), a tenth of the rollout's (`share`), or none.
        never_negative: tokens of a prefix are not punished even where alpha is below the mean (eq. 8).
    """
    lengths = [len(rollout.token_ids) for rollout in group.rollouts]
    off = [{"prompt": len(group.prompt_ids), "share": int(SHORTENED_SHARE * n), "none": 0}[shorten] for n in lengths]
    prefixes = [max(0, (start or 0) - cut) for start, cut in zip(starts, off, strict=True)]
    is_right = [rollout.verdict.is_correct for rollout in group.rollouts]
    means = [
        1.0 if right else alpha * prefix / max(length, 1)
        for right, prefix, length in zip(is_right, prefixes, lengths, strict=True)
    ]
    baseline = fmean(means) if means else 0.0
    good = max(alpha - baseline, 0.0) if never_negative else alpha - baseline
    return [
        [1.0 - baseline] * length if right else _two_parts(good, -baseline, prefix, length)
        for right, prefix, length in zip(is_right, prefixes, lengths, strict=True)
    ]


def _two_parts(first: float, second: float, start: int, length: int) -> list[float]:
    """`first` on the tokens before `start`, `second` on the others."""
    return [first] * start + [second] * (length - start)
