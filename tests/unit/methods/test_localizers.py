"""A step that something else than the policy names: asked, given to the policy's answer, and counted where missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from stories import (
    ANALYSIS,
    CONTINUED,
    PROBLEM,
    PROMPTS,
    RIGHT,
    TASK,
    WRONG_ANSWER_ONLY,
    WRONG_AT_1,
    WRONG_AT_2,
    WRONG_AT_3,
    Canned,
    group,
    ids,
    words,
)

from mel.methods import MetaExperienceLearning, MetaExperienceSettings, Surroundings, drive
from mel.requests import Generate, Score, Verify
from mel.types import Group, Outcome

AT = Surroundings(tokenizer=words(), prompts=PROMPTS, steps=TASK.steps, rollout_max_tokens=44, inspector=TASK)
TAUGHT = "at 1) wins not plus ; rule sorts means same"
"""An answer that blames step 1, which a given step overrules."""
AFTER = {
    1: "1) finds plus 3 = 53 2) sorts same 2 = 53 3) loses minus 5 = 48 answer 48",
    2: CONTINUED,
    3: "3) loses minus 5 = 48 answer 48",
}


WRONGS = {1: WRONG_AT_1, 2: WRONG_AT_2, 3: WRONG_AT_3}


@dataclass
class Scores:
    """Answers with the values of each target in turn; keeps what it was asked."""

    values: Sequence[Sequence[float]] = ()
    asked: list[Score] = field(default_factory=list)

    def score(self, request: Score) -> list[tuple[float, ...]]:
        self.asked.append(request)
        return [tuple(values) for values in self.values[: len(request.targets)]]


def learn(
    groups: Sequence[Group], step: int | None, localizer: str, *, values: Sequence[Sequence[float]] = (), **changes: Any
) -> tuple[Outcome, Canned, Scores]:
    at = replace(AT, **changes)
    auxiliary = MetaExperienceLearning(MetaExperienceSettings(localizer=localizer), at)  # type: ignore[arg-type]
    engine, scores = Canned([[TAUGHT] if step else [], [AFTER[step]] if step else []]), Scores(values)
    return drive(auxiliary.learn(groups, step=1), engine, TASK, scores), engine, scores


@pytest.mark.parametrize(
    ("localizer", "wrong", "step"),
    [
        *[(one, wrong, n) for one in ("first_difference", "oracle") for n, wrong in WRONGS.items()],
        # The third step of the last one repeats a value of the right solution.
        *[("novel_value", WRONGS[n], n) for n in (1, 2)],
    ],
)
def test_the_given_step_is_the_bifurcation_whatever_the_policy_writes(localizer: str, wrong: str, step: int) -> None:
    outcome, engine, _ = learn([group(RIGHT, wrong)], step, localizer)
    (item,) = outcome.replayed
    assert item.candidate.experience is not None
    assert item.candidate.experience.bifurcation == step
    before = " ".join(wrong.split()[: 6 * (step - 1)])
    note = f"<user> {PROBLEM.text} note {TAUGHT} <assistant> {before}"
    assert engine.asked[1][0] == (ids(note.strip()),)
    assert (item.prefix_ids, item.is_kept) == (ids(before), True)
    assert outcome.counts["located"] == 1


def blamed(outcome: Outcome) -> int:
    (item,) = outcome.replayed
    assert item.candidate.experience is not None
    return item.candidate.experience.bifurcation


def test_least_likely_asks_for_the_wrong_rollout_after_its_prompt_and_blames_the_step_with_the_lowest_sum() -> None:
    mixed = group(RIGHT, WRONG_AT_2)
    # The answer is the least likely of all and no step.
    values = [-1.0] * 12 + [-2.0] * 6 + [-9.0] * 3
    outcome, _, scores = learn([mixed], 3, "least_likely", values=[values])
    assert scores.asked == [
        Score(contexts=(mixed.prompt_ids,), targets=(mixed.rollouts[1].token_ids,), policy="current", phase="localize")
    ]
    assert blamed(outcome) == 3
    # The task knows better: step 2.
    assert (outcome.counts["locatable"], outcome.counts["located"]) == (1, 0)


def test_likelihood_asks_with_and_without_the_right_solution_and_blames_the_step_that_falls_most() -> None:
    mixed = group(RIGHT, WRONG_AT_2)
    # Step 3 is the least likely either way; step 2 falls from -6 to -12, step 3 from -18 to -21.
    alone = [-1.0] * 12 + [-3.0] * 6 + [-1.0] * 3
    beside = [-1.0] * 6 + [-2.0] * 6 + [-3.5] * 6 + [-1.0] * 3
    outcome, _, scores = learn([mixed], 2, "likelihood", values=[alone, beside])
    asked = f"<user> {PROBLEM.text}"
    (request,) = scores.asked
    assert request.contexts == (
        ids(f"{asked} <assistant>"),
        ids(f"{asked} <assistant> {RIGHT} <eos> {asked} <assistant>"),
    )
    assert request.targets == (mixed.rollouts[1].token_ids,) * 2
    assert blamed(outcome) == 2


@pytest.mark.parametrize("localizer", ["likelihood", "least_likely"])
def test_a_localizer_that_scores_asks_in_every_batch_also_without_a_pair(localizer: str) -> None:
    requests = MetaExperienceLearning(MetaExperienceSettings(localizer=localizer), AT).learn([], step=1)  # type: ignore[arg-type]
    first = next(requests)
    assert first == Score(contexts=(), targets=(), phase="localize")
    assert isinstance(requests.send([]), Generate)


WRONG_END = "3) loses minus 5 = 46 answer 46"


def bisected(groups: list[Group], *rounds: list[str | None], **changes: Any) -> tuple[Outcome, Canned]:
    settings = MetaExperienceSettings(localizer="monte_carlo", localize_samples=2, **changes)
    last = [[TAUGHT], [CONTINUED]] if groups else [[], []]
    engine = Canned([*rounds, *last])
    return drive(MetaExperienceLearning(settings, AT).learn(groups, step=1), engine, TASK), engine


def test_monte_carlo_halves_the_steps_by_continuing_from_their_ends() -> None:
    mixed = group(RIGHT, WRONG_AT_2)
    # Behind step 1 half of the continuations succeed, more than half of the pass rate 1/2; behind step 2 none does.
    outcome, engine = bisected([mixed], [CONTINUED, WRONG_AT_3], [WRONG_END, WRONG_END], [], [])
    prefix = "1) finds plus 3 = 53"
    question = f"<user> {PROBLEM.text} <assistant>"
    assert [prompts for prompts, _ in engine.asked[:4]] == [
        (ids(f"{question} {prefix}"),) * 2,
        (ids(f"{question} {prefix} 2) sorts minus 2 = 51"),) * 2,
        (),
        (),
    ]
    assert (blamed(outcome), outcome.counts["located"]) == (2, 1)
    assert "unresolved" not in outcome.counts


def test_monte_carlo_with_too_few_rounds_names_the_earliest_step_left_and_counts_it() -> None:
    outcome, _ = bisected([group(RIGHT, WRONG_AT_2)], [CONTINUED, CONTINUED], localize_rounds=1)
    assert (blamed(outcome), outcome.counts["unresolved"]) == (2, 1)


def test_monte_carlo_generates_in_a_phase_of_its_own_in_every_batch() -> None:
    requests = MetaExperienceLearning(MetaExperienceSettings(localizer="monte_carlo", localize_rounds=1), AT).learn(
        [], step=1
    )
    first = next(requests)
    assert isinstance(first, Generate)
    assert (first.phase, first.prompts) == ("localize", ())
    assert requests.send([]) == Verify(problems=(), responses=())
    assert MetaExperienceSettings(localizer="monte_carlo").phases == ("localize", "construct", "replay")


@pytest.mark.parametrize(
    ("wrong", "written", "step"),
    [
        # Both free localizers say 2: the critique is confirmed, or the earlier of both is taken.
        (WRONG_AT_2, "at 2) sorts not minus ; rule sorts means same", 2),
        (WRONG_AT_2, "at 3) sorts not minus ; rule sorts means same", 2),
        (WRONG_AT_2, TAUGHT, 1),
        # No value is new; the first difference, at 3, takes its place.
        (WRONG_AT_3, "at 3) loses not same ; rule loses means minus", 3),
        (WRONG_AT_3, TAUGHT, 1),
    ],
)
def test_agreement_keeps_a_critique_that_a_free_localizer_confirms_and_else_the_earlier_step(
    wrong: str, written: str, step: int
) -> None:
    settings = MetaExperienceSettings(localizer="agreement")
    engine = Canned([[written], [AFTER[step]]])
    outcome = drive(MetaExperienceLearning(settings, AT).learn([group(RIGHT, wrong)], step=1), engine, TASK)
    assert blamed(outcome) == step


def drawn(seed: int, step: int) -> list[int]:
    groups = [replace(group(RIGHT, WRONG_AT_2), problem=replace(PROBLEM, id=f"p{i}")) for i in range(12)]
    method = MetaExperienceLearning(MetaExperienceSettings(localizer="random"), replace(AT, seed=seed))
    outcome = drive(method.learn(groups, step=step), Canned([[TAUGHT] * 12, [CONTINUED] * 12]), TASK)
    experiences = [r.candidate.experience for r in outcome.replayed]
    return [m.bifurcation for m in experiences if m is not None]


def test_a_random_step_depends_on_seed_step_and_problem_and_on_nothing_else() -> None:
    assert len(drawn(0, 1)) == 12
    assert set(drawn(0, 1)) == {1, 2, 3}
    assert drawn(0, 1) == drawn(0, 1)
    assert drawn(0, 1) != drawn(0, 2)
    assert drawn(0, 1) != drawn(1, 1)


@pytest.mark.parametrize("localizer", ["first_difference", "novel_value", "oracle"])
def test_a_pair_without_a_step_to_blame_is_counted_and_asked_nothing(localizer: str) -> None:
    # Its steps are all right and read as those of y+; its answer alone is wrong.
    outcome, engine, _ = learn([group(RIGHT, WRONG_ANSWER_ONLY)], None, localizer)
    assert engine.asked[0][0] == engine.asked[1][0] == ()
    assert (outcome.rows, outcome.replayed) == ((), ())
    assert outcome.counts == {"groups": 1, "skipped/not_located": 1, "rows": 0}


def test_pairs_with_a_step_are_asked_about_though_others_have_none() -> None:
    groups = [group(RIGHT, WRONG_ANSWER_ONLY), group(RIGHT, WRONG_AT_2)]
    outcome, engine, _ = learn(groups, 2, "first_difference")
    assert len(engine.asked[0][0]) == 1
    assert (outcome.counts["skipped/not_located"], outcome.counts["candidates"], len(outcome.rows)) == (1, 1, 1)


def test_the_critique_decides_by_default_and_nothing_is_scored() -> None:
    auxiliary = MetaExperienceLearning(MetaExperienceSettings(), AT)
    scores = Scores()
    outcome = drive(
        auxiliary.learn([group(RIGHT, WRONG_AT_2)], step=1), Canned([[ANALYSIS], [CONTINUED]]), TASK, scores
    )
    assert (outcome.counts["located"], scores.asked) == (1, [])


def test_the_oracle_needs_a_task_that_can_say() -> None:
    with pytest.raises(ValueError, match="'oracle' asks the task for the first wrong step, and this task cannot say"):
        learn([], None, "oracle", inspector=None)
