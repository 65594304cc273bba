"""Self-distillation and its gate, on log-probabilities and rollouts written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from stories import PROBLEM, PROMPTS, RIGHT, TASK, WRONG_AT_1, WRONG_AT_2, Canned, ended, group, ids, words

from mel.methods import AUXILIARIES, Surroundings, drive
from mel.requests import Score
from mel.types import Group, Outcome, Reference, Row

AT = Surroundings(tokenizer=words(), prompts=PROMPTS, steps=TASK.steps, rollout_max_tokens=44)


def shown(text: str) -> tuple[int, ...]:
    return ids(f"<user> {PROBLEM.text} right {text} <assistant>")


TEACHER = shown(RIGHT)
MIXED = group(RIGHT, WRONG_AT_1, WRONG_AT_2)


@dataclass
class CannedScores:
    """Gives every token of the i-th target the i-th of these log-probabilities."""

    logps: Sequence[float]
    asked: list[Score] = field(default_factory=list)

    def score(self, request: Score) -> list[tuple[float, ...]]:
        self.asked.append(request)
        return [(logp,) * len(target) for logp, target in zip(self.logps, request.targets, strict=True)]


def learn(groups: Sequence[Group], *logps: float, **settings: object) -> tuple[Outcome, CannedScores]:
    scorer = CannedScores(logps)
    auxiliary = AUXILIARIES["self_distill"](**settings).build(AT)
    return drive(auxiliary.learn(groups, step=1), Canned([]), TASK, scorer), scorer


def row(of: Group, text: str, **reference: object) -> Row:
    about = {"divergence": "jsd", "top_k": 100, **reference}
    return Row(
        context_ids=of.prompt_ids,
        target_ids=ended(text),
        term="distill",
        reference=Reference(context_ids=TEACHER, **about),  # type: ignore[arg-type]
    )


def test_a_wrong_rollout_that_a_right_sibling_makes_less_likely_than_a_wrong_one_does_is_distilled() -> None:
    # Mean log-probabilities of the two wrong rollouts, behind the other wrong one and behind the right one: -0.5 and
    # -0.9 of the first, -0.4 and -0.3 of the second.
    outcome, scorer = learn([MIXED], -0.5, -0.4, -0.9, -0.3)
    assert outcome.rows == (row(MIXED, WRONG_AT_1),)
    (asked,) = scorer.asked
    assert asked.contexts == (shown(WRONG_AT_2), shown(WRONG_AT_1), TEACHER, TEACHER)
    assert asked.targets == (ended(WRONG_AT_1), ended(WRONG_AT_2)) * 2
    assert outcome.counts == {"groups": 1, "candidates": 2, "rows": 1, "skipped/no_peer": 0, "skipped/not_informed": 1}


def test_the_gap_must_exceed_the_margin() -> None:
    outcome, _ = learn([MIXED], -0.5, -0.5, -1.0, -1.25, margin=0.5)
    assert [r.target_ids for r in outcome.rows] == [ended(WRONG_AT_2)]


def test_without_the_likelihood_gate_nothing_is_asked_and_every_wrong_rollout_is_distilled() -> None:
    outcome, scorer = learn([MIXED], gate="wrong", divergence="reverse_kl", top_k=None)
    other = {"divergence": "reverse_kl", "top_k": None}
    assert outcome.rows == (row(MIXED, WRONG_AT_1, **other), row(MIXED, WRONG_AT_2, **other))
    assert scorer.asked == []


def test_ungated_a_right_rollout_is_distilled_from_another_right_one() -> None:
    longer = f"rule sorts means same {RIGHT}"
    outcome, _ = learn([group(RIGHT, longer)], gate="none")
    assert [r.target_ids for r in outcome.rows] == [ended(RIGHT), ended(longer)]
    contexts = [r.reference.context_ids for r in outcome.rows if r.reference]
    assert contexts == [shown(longer), TEACHER]


def test_without_another_wrong_rollout_that_reads_otherwise_there_is_nothing_to_compare_with() -> None:
    outcome, scorer = learn([group(RIGHT, WRONG_AT_1, WRONG_AT_1)])
    assert (scorer.asked[0].targets, outcome.rows, outcome.counts["skipped/no_peer"]) == ((), (), 2)


@pytest.mark.parametrize("gate", ["informed", "wrong"])
@pytest.mark.parametrize("groups", [[], [group()], [group(RIGHT, RIGHT)], [group(WRONG_AT_1, WRONG_AT_2)]])
def test_the_same_request_comes_from_groups_without_a_lesson(groups: list[Group], gate: str) -> None:
    outcome, scorer = learn(groups, gate=gate)
    assert [request.targets for request in scorer.asked] == [()] * (gate == "informed")
    assert outcome.rows == ()
    lonely = sum(not r.verdict.is_correct for g in groups for r in g.rollouts)
    assert outcome.counts.get("skipped/no_sibling", 0) == lonely


def test_truncated_and_hinted_rollouts_teach_nothing_and_are_counted() -> None:
    right, first, second = MIXED.rollouts
    strange = (right, replace(first, is_truncated=True), replace(second, hint=range(2)))
    outcome, _ = learn([replace(MIXED, rollouts=strange)], gate="wrong")
    assert outcome.rows == ()
    assert (outcome.counts["skipped/truncated"], outcome.counts["skipped/given"]) == (1, 1)
