"""The miniature's construction prompt and what is read out of the answer to it."""

import pytest
from stories import ANALYSIS, M_AT_2, PROMPTS, RIGHT, WRONG_AT_2, completion, pair

from mel.stages.experience import construction_turn, numbered, parse_experience, split_sections
from mel.types import Excerpt, MetaExperience, Step


def read(text: str, *, num_steps: int = 3) -> MetaExperience | str:
    return parse_experience(completion(text), PROMPTS.sections, steps=range(1, num_steps + 1))


def test_the_construction_turn_shows_the_steps_of_both_attempts() -> None:
    assert construction_turn(pair(), PROMPTS) == (
        "start 50 1) finds 3 2) sorts 2 3) loses 5 "
        "right 1) finds plus 3 = 53 2) sorts same 2 = 53 3) loses minus 5 = 48 "
        "wrong 1) finds plus 3 = 53 2) sorts minus 2 = 51 3) loses minus 5 = 46"
    )


def test_numbered_steps_carry_their_label_and_leave_out_what_is_no_step() -> None:
    steps = (Step(number=1, start=3, end=8), Step(number=2, start=9, end=13))
    assert numbered("So first\nthen done", steps, label="[Step {number}] ") == "[Step 1] first\n[Step 2] then"
    assert numbered("So first\nthen done", steps, label="") == "first then"
    assert numbered("So", (), label="") == ""


def test_a_construction_turn_marks_where_steps_are_left_out_and_keeps_their_numbers() -> None:
    assert construction_turn(pair(), PROMPTS, Excerpt(right=range(2, 4), wrong=range(2, 3))) == (
        "start 50 1) finds 3 2) sorts 2 3) loses 5 "
        "right [...] 2) sorts same 2 = 53 3) loses minus 5 = 48 "
        "wrong [...] 2) sorts minus 2 = 51 [...]"
    )


def test_a_construction_turn_of_every_step_is_that_of_the_whole_pair() -> None:
    assert construction_turn(pair(), PROMPTS, pair().whole) == construction_turn(pair(), PROMPTS)


def test_s_star_is_one_of_the_steps_that_were_shown() -> None:
    assert parse_experience(completion(ANALYSIS), PROMPTS.sections, steps=range(3, 4)) == "bifurcation_out_of_range"
    assert parse_experience(completion(ANALYSIS), PROMPTS.sections, steps=range(1, 2)) == "bifurcation_out_of_range"
    found = parse_experience(completion(ANALYSIS), PROMPTS.sections, steps=range(2, 3))
    assert isinstance(found, MetaExperience)
    assert found.bifurcation == 2


def test_an_analysis_is_read_into_step_critique_and_heuristic() -> None:
    assert read(ANALYSIS) == MetaExperience(
        bifurcation=2,
        critique="2) sorts not minus ;",
        heuristic="sorts means same",
        text=M_AT_2,
        lesson="sorts not minus ; rule sorts means same",
    )


def test_the_first_heading_of_a_section_counts_and_sections_may_swap() -> None:
    swapped = read("rule sorts means same at 2) sorts not minus at 3) loses")
    assert isinstance(swapped, MetaExperience)
    assert swapped.bifurcation == 2
    assert swapped.heuristic == "sorts means same"
    assert swapped.text == "rule sorts means same at 2) sorts not minus at 3) loses"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no_bifurcation"),
        (WRONG_AT_2, "no_bifurcation"),
        ("rule sorts means same", "no_bifurcation"),
        ("at sorts not minus ; rule sorts means same", "no_bifurcation"),
        ("at 4) sorts not minus ; rule sorts means same", "bifurcation_out_of_range"),
        ("at 0) sorts not minus ; rule sorts means same", "bifurcation_out_of_range"),
        ("at 2) sorts not minus", "no_heuristic"),
        ("at 2) sorts not minus ; rule", "no_heuristic"),
    ],
)
def test_what_states_no_experience_says_why(text: str, reason: str) -> None:
    assert read(text) == reason


def test_a_truncated_analysis_is_none_even_if_it_reads_well() -> None:
    assert parse_experience(completion(ANALYSIS, cut=True), PROMPTS.sections, steps=range(1, 4)) == "truncated"


def test_the_range_of_s_star_is_that_of_the_wrong_solution() -> None:
    assert read(ANALYSIS, num_steps=1) == "bifurcation_out_of_range"
    assert isinstance(read(ANALYSIS, num_steps=2), MetaExperience)


def test_a_word_that_contains_a_heading_is_no_heading() -> None:
    assert split_sections("attic 1) ruler rules", PROMPTS.sections) == {}
    assert split_sections(RIGHT, PROMPTS.sections) == {}
