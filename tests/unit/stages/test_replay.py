"""Where a replay starts, what it is shown, and which candidates it keeps."""

from dataclasses import replace

import pytest
from stories import (
    M_AT_2,
    PROBLEM,
    PROMPTS,
    RIGHT,
    WRONG_AT_2,
    bytes_bpe,
    candidate,
    completion,
    experience,
    group,
    ids,
    pair,
    verdicts,
    words,
)

from mel.stages.replay import Accept, judge, rejected, replay_prefix, replay_prompt, sibling, strangers
from mel.types import Group, Problem, Replayed


def test_a_replay_from_the_start_keeps_nothing() -> None:
    assert replay_prefix(candidate(), words(), start="start") == ()


@pytest.mark.parametrize(("step", "kept"), [(1, 0), (2, 6), (3, 12)])
def test_a_replay_from_the_bifurcation_keeps_six_words_per_earlier_step(step: int, kept: int) -> None:
    prefix = replay_prefix(candidate(step=step), words(), start="bifurcation")
    assert prefix == ids(WRONG_AT_2)[:kept]


@pytest.mark.parametrize(
    ("step", "kept"),
    [(1, ""), (2, "1) finds plus 3 = 53"), (3, "1) finds plus 3 = 53 2) sorts minus 2 = 51")],
)
def test_byte_level_tokens_are_cut_before_the_space_of_the_step(step: int, kept: str) -> None:
    tokenizer = bytes_bpe()
    prefix = replay_prefix(candidate(step=step, tokenizer=tokenizer), tokenizer, start="bifurcation")
    assert tokenizer.decode(prefix) == kept
    assert prefix == tokenizer.encode(kept)


def test_a_candidate_without_an_experience_keeps_nothing() -> None:
    failed = replace(candidate(), experience=None, failure="no_heuristic")
    assert replay_prefix(failed, words(), start="bifurcation") == ()


def test_the_replay_prompt_holds_the_problem_and_m() -> None:
    prompt = replay_prompt(group(), experience(), words(), PROMPTS)
    assert prompt == ids(f"<user> {PROBLEM.text} note {M_AT_2} <assistant>")


def other(name: str, text: str, *attempts: str) -> Group:
    return group(*attempts, problem=Problem(id=name, text=text, answer="48"))


def test_a_sibling_is_the_problem_with_most_words_in_common_that_not_every_rollout_solved() -> None:
    # `start finds sorts loses`: 3 of 5 words are shared with q, all with r, which is solved, and 2 of 6 with s.
    own = group(RIGHT, WRONG_AT_2)
    q = other("q", "start 7 1) finds 3 2) sorts 2 3) eats 5", WRONG_AT_2)
    r = other("r", "start 50 1) sorts 3 2) finds 2 3) loses 9", RIGHT, RIGHT)
    s = other("s", "start 50 1) finds 3 2) buys 2 3) eats 5", RIGHT, WRONG_AT_2)
    assert sibling(own, [own, s, r, q]) is q
    assert sibling(own, [own, s, r]) is s
    assert sibling(own, [own, r, replace(own)]) is None


def test_of_siblings_alike_the_first_is_taken() -> None:
    first, second = (other(name, "start 9 1) buys 2", WRONG_AT_2) for name in "qr")
    assert sibling(group(RIGHT, WRONG_AT_2), [second, first]) is second


def test_uplift_is_over_the_pass_rate_of_the_problem_that_was_replayed() -> None:
    hard = other("q", "start 9 1) buys 2", *[WRONG_AT_2] * 3, RIGHT)
    item, done = candidate(), [completion(RIGHT), completion(WRONG_AT_2)]
    found = judge(item, (), done, [c.text for c in done], verdicts(True, False), accept="uplift", margin=0.2, on=hard)
    # 1/2 exceeds 1/4 by more than 0.2, and does not exceed the candidate's own 1/2.
    assert (found.is_kept, found.group) == (True, hard)
    alone = judge(item, (), done, [c.text for c in done], verdicts(True, False), accept="uplift", margin=0.2)
    assert (alone.is_kept, alone.group) == (False, item.pair.group)


def judged(
    *right: bool, accept: Accept = "right", margin: float = 0.0, pass_rate: tuple[int, int] = (1, 2)
) -> Replayed:
    """A candidate of a group with that many right of all, after these attempts."""
    num_right, of = pass_rate
    whole = group(*[RIGHT] * num_right, *[WRONG_AT_2] * (of - num_right))
    item = candidate(replace(pair(), group=whole))
    done = [completion(RIGHT if r else WRONG_AT_2) for r in right]
    return judge(item, (7,), done, [c.text for c in done], verdicts(*right), accept=accept, margin=margin)


@pytest.mark.parametrize(
    ("right", "accept", "is_kept", "reason"),
    [
        ((True,), "right", True, "kept"),
        ((False,), "right", False, "failed_replay"),
        ((False, True, False), "right", True, "kept"),
        ((True, True), "all", True, "kept"),
        ((True, False), "all", False, "failed_replay"),
        ((False, False), "all", False, "failed_replay"),
    ],
)
def test_right_wants_one_right_attempt_and_all_wants_every_one(
    right: tuple[bool, ...], accept: Accept, is_kept: bool, reason: str
) -> None:
    result = judged(*right, accept=accept)
    assert (result.is_kept, result.reason) == (is_kept, reason)
    assert result.success_rate == sum(right) / len(right)
    assert [a.verdict.is_correct for a in result.attempts] == list(right)
    assert result.prefix_ids == (7,)


@pytest.mark.parametrize(
    ("num_right", "margin", "pass_rate", "is_kept"),
    [
        (3, 0.0, (4, 8), True),  # 3/4 > 1/2
        (2, 0.0, (4, 8), False),  # 1/2 is no more than 1/2
        (3, 0.25, (4, 8), False),  # 3/4 is no more than 1/2 + 1/4
        (4, 0.25, (4, 8), True),  # 1 > 3/4
        (1, 0.0, (1, 8), True),  # 1/4 > 1/8
        (0, 0.0, (1, 8), False),
        (4, 0.0, (7, 8), True),
    ],
)
def test_uplift_wants_more_than_the_pass_rate_and_the_margin(
    num_right: int, margin: float, pass_rate: tuple[int, int], is_kept: bool
) -> None:
    attempts = [i < num_right for i in range(4)]
    result = judged(*attempts, accept="uplift", margin=margin, pass_rate=pass_rate)
    assert (result.is_kept, result.reason) == (is_kept, "kept" if is_kept else "no_uplift")


def test_rounding_is_no_uplift() -> None:
    # In floating point 0.7 + 0.1 is just below 0.8.
    assert 8 / 10 > 7 / 10 + 0.1
    attempts = [i < 8 for i in range(10)]
    assert not judged(*attempts, accept="uplift", margin=0.1, pass_rate=(7, 10)).is_kept


def test_a_truncated_attempt_is_judged_by_its_verdict_like_any_other() -> None:
    cut = completion("1) finds", cut=True)
    result = judge(candidate(), (), [cut], [cut.text], verdicts(False), accept="right", margin=0.0)
    assert (result.is_kept, result.reason) == (False, "failed_replay")
    assert result.attempts[0].completion.is_truncated


def test_a_wrong_number_of_verdicts_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        judge(candidate(), (), [completion(RIGHT)], [RIGHT], verdicts(True, True), accept="right", margin=0.0)


def test_a_rejected_candidate_comes_back_without_attempts() -> None:
    result = rejected(candidate(), "states_answer")
    assert (result.is_kept, result.reason, result.attempts, result.success_rate) == (False, "states_answer", (), 0.0)


def test_strangers_are_the_notes_of_other_problems_each_used_once() -> None:
    notes = [("a", "a1"), ("a", "a2"), ("b", "b1"), ("c", "c1"), ("c", "c2")]
    # The largest share is two, so everyone sees the note of the one two places on.
    assert strangers(notes) == ["b1", "c1", "c2", "a1", "a2"]


def test_notes_of_one_problem_need_not_stand_side_by_side() -> None:
    # Gathered batches, and groups that an auxiliary adds behind the others, bring a problem up again. In the order
    # a1, a2, b1, c1 everyone sees the note two places on.
    assert strangers([("a", "a1"), ("b", "b1"), ("a", "a2"), ("c", "c1")]) == ["b1", "a1", "c1", "a2"]


def test_who_has_no_stranger_gets_none() -> None:
    assert strangers([]) == []
    assert strangers([("a", "a1")]) == [None]
    assert strangers([("a", "a1"), ("a", "a2")]) == [None, None]
    assert strangers([("a", "a1"), ("a", "a2"), ("b", "b1")]) == ["b1", None, "a2"]
