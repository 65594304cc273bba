"""Why a generation batch gave no experience to replay, and what to turn."""

from __future__ import annotations

from collections.abc import Mapping

PAIRS = {
    "truncated": "their rollouts were cut off at the token limit: raise max_completion_length",
    "no_steps": "no steps were found in their rollouts: take another segmentation (the task's, or `segmenter=`)",
    "same_steps": "no step of theirs differs: take another choose than closest_distinct",
    "not_located": "no step could be given as s*: take another localizer",
    "pair_too_long": "their prompts were too long: raise max_pair_tokens, or set long_pairs to cut",
}
"""Reason why rollouts or pairs of mixed groups were passed over -> what to say."""

FORM = "it does not keep to the form that the prompt set asks for: change the prompt set, or take a stronger model"


def idle(counts: Mapping[str, float]) -> Mapping[str, str] | None:
    """Why there was nothing to replay; nothing if there was, None if no group was mixed.

    Args:
        counts: of all ranks.
    """
    if counts.get("parsed"):
        return {}
    if counts.get("candidates"):
        failure = _most(counts, "failure/")
        advice = "the token limit cut it off: raise construct_max_tokens" if failure == "truncated" else FORM
        text = (
            f"none of the texts that the policy wrote about pairs could be used, most often for {failure!r}; {advice}"
        )
        return {"nothing_parses": text}
    passed_over = _most({k: n for k, n in counts.items() if k != "skipped/group_not_mixed"}, "skipped/")
    if not passed_over:
        return None
    return {"no_pairs": f"groups were mixed, but no pair was asked about; {PAIRS.get(passed_over, passed_over)}"}


def _most(counts: Mapping[str, float], prefix: str) -> str:
    """The most frequent of the counts with that beginning, without it; empty if there is none."""
    found = {key.removeprefix(prefix): n for key, n in counts.items() if key.startswith(prefix) and n}
    return max(found, key=lambda key: found[key], default="")
