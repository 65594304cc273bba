"""The probe of a policy whose every answer is written here, and the sentence that its figures give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from stories import (
    CONTINUED,
    M_AT_2,
    PROBLEM,
    PROMPTS,
    RIGHT,
    TASK,
    WRONG_AT_2,
    completion,
    ids,
    words,
)

from mel.methods import MetaExperienceSettings, Surroundings, drive
from mel.methods.probe import Probed, conclusion, effects, intervals, probe, setting_of
from mel.prompts.ask import PlainAsk
from mel.tasks.story_counts import StoryCounts
from mel.types import Completion, Problem, Sampling, TokenIds

AT = Surroundings(tokenizer=words(), prompts=PROMPTS, steps=TASK.steps, rollout_max_tokens=44, inspector=TASK)
ANALYSIS = f"1) plus plus 2) same minus ! {M_AT_2}"


class Obedient:
    """Solves right with a note that says so, and otherwise wrong; its samples are right and wrong in turn."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def generate(self, prompts: Sequence[TokenIds], sampling: Sampling) -> list[Completion]:
        return [self._answer(words().decode(p), i, sampling) for i, p in enumerate(prompts)]

    def _answer(self, prompt: str, place: int, sampling: Sampling) -> Completion:
        self.asked.append(prompt)
        if " right " in prompt:
            return completion(ANALYSIS)
        is_continued = "1) finds plus 3 = 53" in prompt
        if "note" in prompt:
            is_right = "rule sorts means same" in prompt
        else:
            is_right = not is_continued and sampling.temperature > 0 and place % 2 == 0
        whole = RIGHT if is_right else WRONG_AT_2
        return completion(whole[whole.index("2)") :] if is_continued else whole)


def probed(**changes: Any) -> tuple[Probed, Obedient]:
    generator = Obedient()
    setting = setting_of((), samples=2, noting=TASK, scores_tokens=False, positions=None, **changes)
    ask = PlainAsk(prompts=PROMPTS)
    return drive(probe([PROBLEM], ask, AT, setting), generator, TASK), generator


def test_a_policy_that_obeys_true_notes_is_measured_so() -> None:
    found, generator = probed()
    means = {name: score.value for name, score in intervals(found.scores).items() if score is not None}
    assert found.pairs == 1
    assert (means["solved_greedy"], means["solved_sampled"], means["groups_mixed"]) == (0.0, 0.5, 1.0)
    assert [means[name] for name in ("parsed", "leaks", "located", "rule_true", "rule_true_given_step")] == [
        1,
        0,
        1,
        1,
        1,
    ]
    assert means["located_first_difference"] == means["located_constant"] == 1.0
    assert means["located_random"] == pytest.approx(1 / 3)
    for start in ("start", "bifurcation"):
        assert means[f"replay_{start}_own"] == means[f"replay_{start}_true"] == 1.0
        assert means[f"replay_{start}_false"] == 0.0
        assert found.scores[f"replay_{start}_other"] == {}, "there is one problem only"
    # From the start and without a note every second sample is right; from before step 2 none is.
    assert (means["replay_start_none"], means["replay_bifurcation_none"]) == (0.5, 0.0)
    continued = [words().decode(ids(p)) for p in generator.asked if p.endswith("1) finds plus 3 = 53")]
    assert len(continued) == 4 * 4, "four attempts for none, own, true and false, from before step 2"
    assert effects(found.scores)["own_minus_none_bifurcation"].value == 1.0  # type: ignore[union-attr]


def test_what_would_not_fit_the_model_is_left_out() -> None:
    generator = Obedient()
    setting = setting_of((), samples=2, noting=TASK, scores_tokens=False, positions=60)
    found = drive(probe([PROBLEM], PlainAsk(prompts=PROMPTS), AT, setting), generator, TASK)
    assert found.scores["parsed"] == {}, "the construction prompt is longer than 60 - 15 tokens"
    assert list(found.scores["replay_start_none"]) == [PROBLEM.id]
    assert found.scores["replay_bifurcation_none"] == {}, "15 tokens of prompt, 6 of y- and 44 of an attempt"


def test_a_problem_that_is_always_solved_gives_no_pair_and_a_verdict_that_says_so() -> None:
    class Solver:
        def generate(self, prompts: Sequence[TokenIds], sampling: Sampling) -> list[Completion]:
            return [completion(RIGHT) for _ in prompts]

    setting = setting_of((), samples=2, noting=TASK, scores_tokens=False, positions=None)
    found = drive(probe([PROBLEM], PlainAsk(prompts=PROMPTS), AT, setting), Solver(), TASK)
    said = conclusion(found.scores, pairs=found.pairs)
    assert (found.pairs, said.answer) == (0, "no")
    assert "none gave a right and a wrong solution to compare (1.00 are always solved" in said.sentence
    assert intervals(found.scores)["parsed"] is None


def scores(none: float, own: float, other: float, *, true: float = 0.0, parsed: float = 1.0) -> Any:
    """The same figures at each of eight problems, from both starts: intervals are points."""
    replays = {"none": none, "own": own, "other": other, "true": true}
    flat = {f"replay_{start}_{name}": value for start in ("start", "bifurcation") for name, value in replays.items()}
    flat |= {"parsed": parsed, "groups_mixed": 0.5, "groups_right": 0.25, "groups_wrong": 0.25}
    return {name: {f"p{i}": value for i in range(8)} for name, value in flat.items()}


@pytest.mark.parametrize(
    ("found", "answer", "words_of_it"),
    [
        (scores(0.25, 0.75, 0.25), "yes", "its own note raises success by +0.50 [+0.50, +0.50]; 0.50 of the groups"),
        (scores(0.25, 0.75, 0.75), "yes", "though it cannot be told apart from what another problem's note does"),
        (scores(0.25, 0.25, 0.25, true=0.75), "unclear", "Notes are causal, but its own are not good enough yet"),
        (scores(0.5, 0.25, 0.25), "no", "its own notes lower success, -0.25"),
        (scores(0.5, 0.5, 0.5), "unclear", "No effect of its own notes can be told apart from chance on 8 pairs"),
        (scores(0.25, 0.75, 0.25, parsed=0.1), "no", "only 0.10 of its notes can be read"),
    ],
)
def test_the_verdict_follows_from_the_intervals(found: Any, answer: str, words_of_it: str) -> None:
    said = conclusion(found, pairs=8)
    assert said.answer == answer
    assert words_of_it in said.sentence


def test_a_few_pairs_say_nothing_whatever_their_interval() -> None:
    said = conclusion(scores(0.0, 1.0, 0.0), pairs=7)
    assert said.answer == "unclear"
    assert "7 of 8 problems gave a pair, and fewer than 8 are too few" in said.sentence


def test_effects_pair_only_the_problems_that_both_have() -> None:
    found = effects({"replay_start_own": {"a": 1.0, "b": 0.5}, "replay_start_none": {"b": 0.25, "c": 1.0}})
    one = found["own_minus_none_start"]
    assert one is not None
    assert (one.value, one.problems) == (0.25, 1)
    assert found["own_minus_none_bifurcation"] is None


def test_a_probe_writes_notes_as_the_recipe_would_within_what_the_model_takes() -> None:
    own = MetaExperienceSettings(localizer="first_difference", construct_max_tokens=500)
    setting = setting_of((own,), samples=4, noting=None, scores_tokens=True, positions=1000)
    assert setting.construction.localizer == "first_difference"
    assert (setting.construction.construct_max_tokens, setting.construction.max_pair_tokens) == (250, 750)
    with pytest.raises(ValueError, match="expected at least 2 samples, of which a pair is made"):
        setting_of((own,), samples=1, noting=None, scores_tokens=True, positions=1000)


def test_the_miniatures_task_writes_the_note_that_sets_a_step_right_and_its_opposite() -> None:
    task = StoryCounts()
    true = task.note(PROBLEM, WRONG_AT_2)
    assert true is not None
    assert (true.bifurcation, true.heuristic) == (2, "rule sorts means same")
    assert true.text == "at 2) sorts not minus rule sorts means same"
    false = task.note(PROBLEM, WRONG_AT_2, is_true=False)
    assert false is not None
    assert false.text == "at 2) sorts not same rule sorts means minus"
    assert task.note(PROBLEM, RIGHT) is None
    assert task.note(PROBLEM, "1) finds plus 3 = 53 answer 53") is None, "the wrong step is not there"


def test_continued_solutions_of_this_file_are_right() -> None:
    (verdict,) = TASK.verify([Problem(id="x", text=PROBLEM.text, answer="48")], [f"1) finds plus 3 = 53 {CONTINUED}"])
    assert verdict.is_correct
