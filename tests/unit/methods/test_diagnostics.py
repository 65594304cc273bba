"""Each measure on solutions written by hand, with canned answers and numbers worked out beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from stories import (
    CONTINUED,
    OTHER,
    PROMPTS,
    RIGHT,
    TASK,
    WRONG_AT_1,
    WRONG_AT_2,
    WRONG_AT_3,
    Canned,
    candidate,
    ended,
    group,
    ids,
    pair,
    replayed,
    words,
)

from mel.methods import Diagnosis, DiagnosticsSettings, Limits, Surroundings, drive
from mel.requests import Score
from mel.types import Group, Outcome

AT = Surroundings(tokenizer=words(), prompts=PROMPTS, steps=TASK.steps, rollout_max_tokens=44, inspector=TASK)
PREFIX = ids("1) finds plus 3 = 53")


class Forward:
    """Gives every token -1 now, and what the test says before training."""

    def __init__(self, initial: float) -> None:
        self._initial = initial

    def score(self, request: Score) -> list[tuple[float, ...]]:
        each = -1.0 if request.policy == "current" else self._initial
        return [(each,) * len(target) for target in request.targets]


def measured(
    measures: Sequence[str],
    groups: Sequence[Group],
    outcomes: Mapping[str, Outcome],
    *calls: list[str | None],
    scorer: Forward | None = None,
    **settings: Any,
) -> tuple[dict[str, float], Canned]:
    generator = Canned(list(calls))
    given = DiagnosticsSettings(measures=list(measures), **settings)
    diagnosis = Diagnosis(given, AT, has_auxiliaries=True)
    counts = drive(diagnosis.measure(groups, outcomes, step=1), generator, TASK, scorer)
    return diagnosis.metrics(counts), generator


def ledger(*named: tuple[str, int]) -> dict[str, Outcome]:
    """An outcome whose experiences blame these steps of these wrong solutions."""
    return {"any": Outcome(replayed=tuple(replayed(candidate(pair(wrong), step=s), CONTINUED) for wrong, s in named))}


def test_s_star_is_compared_with_a_constant_and_a_random_step_on_the_same_solutions() -> None:
    # True first errors 1, 2, 3, 3; s* 1, 3, 3, 1: right in 2 of 4, off by one in 1, offsets 0, 1, 0, -2.
    outcomes = ledger((WRONG_AT_1, 1), (WRONG_AT_2, 3), (WRONG_AT_3, 3), (WRONG_AT_3, 1))
    found, _ = measured(["localization"], [], outcomes)
    assert found == {
        "diagnostics/localization/pairs": 4,
        "diagnostics/localization/exact": 0.5,
        "diagnostics/localization/off_by_one": 0.25,
        "diagnostics/localization/offset": -0.25,
        # Always step 3: right in 2, off by one in 1, offsets 2, 1, 0, 0.
        "diagnostics/localization/constant_exact": 0.5,
        "diagnostics/localization/constant_off_by_one": 0.25,
        "diagnostics/localization/constant_offset": 0.75,
        # Any of 3 steps: 1/3; beside the error lie 1, 2, 1, 1 of 3 steps; offsets 1, 0, -1, -1 on average.
        "diagnostics/localization/random_exact": pytest.approx(1 / 3),
        "diagnostics/localization/random_off_by_one": pytest.approx(5 / 12),
        "diagnostics/localization/random_offset": pytest.approx(-0.25),
    }


def test_recovery_continues_from_before_the_step_and_from_behind_it() -> None:
    # Before step 2 one of two attempts is right, behind it none: its sum stays wrong by 2.
    before, after = (
        [CONTINUED, "2) sorts plus 2 = 55 3) loses minus 5 = 50 answer 50"],
        ["3) loses minus 5 = 46 answer 46"],
    )
    found, generator = measured(
        ["recovery"], [group(RIGHT, WRONG_AT_2)], ledger((WRONG_AT_2, 2)), [*before, *after, *after]
    )
    question = pair().group.prompt_ids
    behind = ids("1) finds plus 3 = 53 2) sorts minus 2 = 51")
    assert generator.asked[0][0] == (question + PREFIX,) * 2 + (question + behind,) * 2
    assert found == {
        "diagnostics/recovery/pairs": 1,
        "diagnostics/recovery/before": 0.5,
        "diagnostics/recovery/after": 0.0,
        "diagnostics/recovery/gain": 0.5,
    }


def test_where_nobody_writes_experiences_a_pair_of_each_mixed_group_is_blamed_at_its_first_difference() -> None:
    groups = [group(RIGHT, WRONG_AT_2), group(RIGHT, RIGHT)]
    found, generator = measured(["recovery", "localization"], groups, {}, [CONTINUED, None], samples=1)
    assert generator.asked[0][0][0] == groups[0].prompt_ids + PREFIX
    assert found["diagnostics/localization/exact"] == 1.0
    assert found["diagnostics/recovery/gain"] == 1.0


def test_a_problem_is_continued_once_and_no_more_than_so_many() -> None:
    outcomes = ledger((WRONG_AT_2, 2), (WRONG_AT_3, 3))
    _, generator = measured(["recovery"], [], outcomes, [None, None], samples=1)
    assert len(generator.asked[0][0]) == 2, "one solution, from before and from behind"
    other = candidate(replace(pair(), group=replace(pair().group, problem=OTHER)))
    both = {"any": Outcome(replayed=(*outcomes["any"].replayed, replayed(other, CONTINUED)))}
    _, generator = measured(["recovery"], [], both, [None, None], samples=1, pairs=1)
    assert len(generator.asked[0][0]) == 2


def test_a_note_is_relied_on_by_what_attempts_lose_without_it() -> None:
    # With the note both attempts from before step 2 are right; without it one of two.
    item = replace(replayed(candidate(), CONTINUED, CONTINUED, prefix=PREFIX), prompt_ids=ids("a note"))
    found, generator = measured(
        ["hint_reliance"], [], {"any": Outcome(replayed=(item,))}, [CONTINUED, "2) sorts plus 2 = 55 answer 55"]
    )
    assert generator.asked[0][0] == (item.group.prompt_ids + PREFIX,) * 2
    assert found == {
        "diagnostics/hint_reliance/cases": 1,
        "diagnostics/hint_reliance/with": 1.0,
        "diagnostics/hint_reliance/without": 0.5,
        "diagnostics/hint_reliance/gain": 0.5,
    }


def test_a_rollout_that_was_given_something_is_compared_with_the_groups_own_without_a_further_token() -> None:
    plain = group(RIGHT, WRONG_AT_1, WRONG_AT_2, WRONG_AT_3)  # one in four is right
    hinted = replace(plain.rollouts[0], hint=range(6))
    told = replace(plain.rollouts[1], context_ids=ids("a hint"))
    changed = replace(plain, rollouts=(*plain.rollouts, hinted, told))
    found, generator = measured(["hint_reliance"], [plain], {"any": Outcome(groups=(changed,))}, [])
    assert generator.asked[0][0] == ()
    assert found["diagnostics/hint_reliance/cases"] == 2
    assert found["diagnostics/hint_reliance/gain"] == 0.5 - 0.25


def test_a_replay_from_the_groups_own_prompt_had_no_note() -> None:
    item = replayed(candidate(), CONTINUED, prefix=PREFIX)
    without = replace(item, prompt_ids=item.group.prompt_ids)
    found, _ = measured(["hint_reliance"], [], {"any": Outcome(replayed=(without,))}, [])
    assert found == {}


def test_the_divergence_is_estimated_at_the_tokens_that_were_sampled() -> None:
    # log r = initial - current = 0.5 at every token.
    found, _ = measured(["initial_kl"], [group(RIGHT, WRONG_AT_2)], {}, scorer=Forward(-0.5))
    assert found == {"diagnostics/initial_kl": pytest.approx(math.exp(0.5) - 1 - 0.5)}
    same, _ = measured(["initial_kl"], [group(RIGHT, WRONG_AT_2)], {}, scorer=Forward(-1.0))
    assert same == {"diagnostics/initial_kl": 0.0}


def test_without_groups_the_same_requests_are_made_and_nothing_is_reported() -> None:
    found, generator = measured(
        ["recovery", "hint_reliance", "initial_kl", "localization"], [], {}, [], [], scorer=Forward(0.0)
    )
    assert found == {}
    assert [prompts for prompts, _ in generator.asked] == [(), ()]


def test_a_step_is_due_from_the_first_on() -> None:
    diagnosis = Diagnosis(DiagnosticsSettings(measures=["recovery"], every=3), AT, has_auxiliaries=False)
    assert [step for step in range(1, 9) if diagnosis.is_due(step)] == [1, 4, 7]
    gradients = Diagnosis(DiagnosticsSettings(measures=["gradients"], every=1), AT, has_auxiliaries=True)
    assert not gradients.is_due(1), "the host compares gradients; no text is read for them"


@pytest.mark.parametrize(
    ("values", "has_auxiliaries", "inspector", "message"),
    [
        ({"measures": ["gradients"]}, False, TASK, "'gradients' is about an auxiliary beside the policy"),
        ({"measures": ["hint_reliance"]}, False, TASK, "'hint_reliance' is about an auxiliary"),
        ({"measures": ["localization"]}, True, None, "'localization' needs a task that knows the first wrong step"),
        ({"measures": ["entropy"]}, True, TASK, "every line of metrics holds already as entropy: leave it out"),
        ({"measures": ["kl"]}, True, TASK, "gradients"),
        ({"measures": ["recovery"], "every": 0}, True, TASK, "every"),
    ],
)
def test_what_cannot_be_measured_is_refused(values: Any, has_auxiliaries: bool, inspector: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Diagnosis(DiagnosticsSettings(**values), replace(AT, inspector=inspector), has_auxiliaries=has_auxiliaries)


def test_a_continuation_needs_room_for_a_whole_solution_before_it() -> None:
    limits = Limits(prompt=10, instruction=5, completion=20)
    (longest,) = DiagnosticsSettings(measures=["recovery"], samples=3).needs(limits).phases
    assert (longest.prompt, longest.completion, longest.per_group) == (30, 20, 6)
    assert DiagnosticsSettings(measures=["gradients", "initial_kl", "localization"]).needs(limits).phases == ()


def test_the_ends_of_solutions_in_this_file_are_what_they_are_taken_for() -> None:
    assert ended(CONTINUED)[-1] == words().encode("<eos>")[0]
