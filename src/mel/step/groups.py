"""From what a host sampled to the groups of eq. 1."""

from __future__ import annotations

from collections.abc import Sequence

from mel.ports import Tokenizer
from mel.types import Group, Message, Problem, Rollout, TokenIds, Verdict


def build_groups(
    problems: Sequence[Problem],
    prompt_ids: Sequence[TokenIds],
    completion_ids: Sequence[Sequence[int]],
    rewards: Sequence[float],
    verdicts: Sequence[Verdict],
    *,
    group_size: int,
    tokenizer: Tokenizer,
    eos_ids: Sequence[int],
    openings: Sequence[Sequence[Message]] | None = None,
) -> list[Group]:
    """The groups of this rank: every `group_size` consecutive rollouts share their problem.

    Args:
        problems, prompt_ids, completion_ids, rewards, verdicts: one per rollout; a prompt is what it was sampled from.
        eos_ids: a rollout that ends with none of them was cut by the token limit.
        openings: turns of each rollout's prompt before the one that asks; None: there are none.
    """
    rollouts = [
        Rollout(
            token_ids=tuple(ids),
            text=tokenizer.decode(ids),
            verdict=verdict,
            reward=reward,
            is_truncated=not ids or ids[-1] not in eos_ids,
        )
        for ids, reward, verdict in zip(completion_ids, rewards, verdicts, strict=True)
    ]
    return [
        Group(
            problem=problems[start],
            prompt_ids=prompt_ids[start],
            rollouts=tuple(rollouts[start : start + group_size]),
            opening=tuple(openings[start]) if openings else (),
        )
        for start in range(0, len(rollouts), group_size)
    ]
