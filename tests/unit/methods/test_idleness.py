"""What meta-experience learning says of a batch that gave it nothing to replay."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from mel.methods import MetaExperienceSettings

idle = MetaExperienceSettings.idle


def said(counts: Mapping[str, float]) -> str:
    found = idle(counts)
    assert found is not None
    (text,) = found.values()
    return text


def test_a_batch_without_a_mixed_group_says_nothing_about_experiences() -> None:
    assert idle({"groups": 4, "skipped/group_not_mixed": 4, "candidates": 0}) is None


def test_one_readable_experience_is_enough() -> None:
    assert idle({"candidates": 5, "parsed": 1, "failure/no_heuristic": 4}) == {}


@pytest.mark.parametrize(
    ("failures", "knob"),
    [
        ({"failure/truncated": 3, "failure/no_heuristic": 1}, "'truncated'; .*raise construct_max_tokens"),
        ({"failure/truncated": 1, "failure/no_bifurcation": 3}, "'no_bifurcation'; .*change the prompt set"),
    ],
)
def test_texts_none_of_which_parses_name_the_most_frequent_failure(failures: dict[str, float], knob: str) -> None:
    assert re.search(knob, said({"candidates": 4, "parsed": 0, **failures}))


@pytest.mark.parametrize(
    ("reason", "knob"),
    [("pair_too_long", "max_pair_tokens"), ("truncated", "max_completion_length"), ("no_steps", "segmentation")],
)
def test_mixed_groups_without_a_pair_name_why_they_were_passed_over(reason: str, knob: str) -> None:
    assert knob in said({"skipped/group_not_mixed": 9, f"skipped/{reason}": 2, "skipped/same_steps": 1})
