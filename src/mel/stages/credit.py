"""Credit: do not punish the part of a wrong solution that was still right (Cliff 2609.02817, VPPO 2601.18984)."""

from __future__ import annotations

from collections.abc import Sequence

from mel.ports import Tokenizer
from mel.types import Group, Replayed


def weights_from_bifurcation(
    groups: Sequence[Group], replayed: Sequence[Replayed], tokenizer: Tokenizer
) -> list[list[list[float]]]:
    """Advantage multipliers per group, rollout and token: 0 on the tokens of y- before s*, 1 elsewhere.

    Only kept experiences count: a located step whose replay failed is not evidence. Of several kept
    experiences about one rollout the earliest s* decides, which excuses the fewest tokens.
    """
    weights = [[[1.0] * len(r.token_ids) for r in g.rollouts] for g in groups]
    # By identity: two rollouts may read alike, and one that was replaced has lost its experience.
    position = {id(r): (i, j) for i, group in enumerate(groups) for j, r in enumerate(group.rollouts)}
    starts: dict[tuple[int, int], int] = {}
    for item in replayed:
        pair, experience = item.candidate.pair, item.candidate.experience
        if not item.is_kept or experience is None or id(pair.wrong) not in position:
            continue
        key = position[id(pair.wrong)]
        step = pair.wrong_steps[experience.bifurcation - 1]
        start = tokenizer.token_index(pair.wrong.token_ids, step.start)
        starts[key] = min(start, starts.get(key, start))
    # Paper: Cliff and VPPO center the token advantages again afterwards; here the excused ones are only set to 0.
    for (group, rollout), start in starts.items():
        weights[group][rollout][:start] = [0.0] * start
    return weights
