"""Which tokens a kept experience teaches, and in which context."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest
from stories import (
    ANALYSIS,
    CONTINUED,
    M_AT_2,
    PROBLEM,
    RIGHT,
    TASK,
    WALK,
    WRONG_AT_2,
    bytes_bpe,
    candidate,
    ended,
    experience,
    group,
    ids,
    rejected_item,
    replayed,
    words,
)

from mel.prompts.chat import ChatTokenizer
from mel.stages.internalize import ALLOWED, Context, Target, distilled, first_step, internalize, reinforced
from mel.types import Attempt, Completion, Problem, Reference, Replayed, Row, Step, Verdict

PREFIX = "1) finds plus 3 = 53"
QUESTION = f"<user> {PROBLEM.text} <assistant>"


def row(item: Replayed, target: Target, context: Context, tokenizer: ChatTokenizer | None = None) -> Row:
    (found,) = rows(item, target, context, tokenizer)
    return found


def rows(item: Replayed, target: Target, context: Context, tokenizer: ChatTokenizer | None = None) -> tuple[Row, ...]:
    found = internalize(item, tokenizer or words(), TASK.steps, target=target, context=context)
    assert isinstance(found, tuple)
    assert {(row.term, row.weight) for row in found} == {("nll", 1.0)}
    return found


def from_bifurcation(*continuations: str) -> Replayed:
    return replayed(candidate(), *continuations or (CONTINUED,), prefix=ids(PREFIX))


def from_start() -> Replayed:
    return replayed(candidate(), RIGHT)


def test_the_papers_row_is_the_whole_completion_after_what_it_was_drawn_from() -> None:
    found = row(from_start(), "experience", "retrospective")
    assert found.context_ids == ids("start 50")  # the candidate's own context
    assert found.target_ids == ended(ANALYSIS)


def test_an_experience_on_the_question_follows_the_rollouts_prompt() -> None:
    found = row(from_start(), "experience", "question")
    assert (found.context_ids, found.target_ids) == (ids(QUESTION), ended(ANALYSIS))


def test_a_heuristic_in_retrospect_follows_all_that_was_written_before_it() -> None:
    found = row(from_start(), "heuristic", "retrospective")
    assert found.context_ids == ids(f"start 50 {WALK} at 2) sorts not minus ; rule")
    assert found.target_ids == ended("sorts means same")


def test_a_heuristic_followed_by_another_section_ends_where_it_ends() -> None:
    text = "rule sorts means same at 2) sorts not minus ;"
    item = replayed(candidate(analysis=text, m=experience(text=text)), RIGHT)
    found = row(item, "heuristic", "retrospective")
    assert found.context_ids == ids("start 50 rule")
    assert found.target_ids == ids("sorts means same")


def test_a_heuristic_on_the_question_is_its_text_alone() -> None:
    found = row(from_start(), "heuristic", "question")
    assert (found.context_ids, found.target_ids) == (ids(QUESTION), ids("sorts means same"))


def test_a_step_is_the_first_of_the_continuation_after_the_kept_beginning() -> None:
    found = row(from_bifurcation(), "step", "prefix")
    assert found.context_ids == ids(f"{QUESTION} {PREFIX}")
    assert found.target_ids == ids("2) sorts same 2 = 53")


def test_m_is_in_no_context_but_its_own() -> None:
    for target, context in [("step", "prefix"), ("solution", "prefix"), ("solution", "question")]:
        found = row(from_bifurcation(), target, context)
        assert not set(found.context_ids + found.target_ids) & set(ids("note at rule means"))


def test_a_solution_after_the_prefix_is_the_continuation_with_its_end() -> None:
    found = row(from_bifurcation(), "solution", "prefix")
    assert (found.context_ids, found.target_ids) == (ids(f"{QUESTION} {PREFIX}"), ended(CONTINUED))


def test_a_solution_on_the_question_is_whole_wherever_the_replay_started() -> None:
    assert row(from_bifurcation(), "solution", "question").target_ids == ended(f"{PREFIX} {CONTINUED}")
    found = row(from_start(), "solution", "question")
    assert (found.context_ids, found.target_ids) == (ids(QUESTION), ended(RIGHT))


def test_of_several_attempts_the_first_right_one_teaches() -> None:
    wrong = "2) sorts plus 2 = 55 3) loses minus 5 = 50 answer 50"
    lucky = "2) sorts minus 2 = 51 3) loses minus 3 = 48 answer 48"
    found = row(from_bifurcation(wrong, lucky, CONTINUED), "step", "prefix")
    assert found.target_ids == ids("2) sorts minus 2 = 51")


def test_a_step_at_the_very_beginning_has_the_question_as_its_context() -> None:
    item = replayed(candidate(step=1), RIGHT, prefix=())
    found = row(item, "step", "prefix")
    assert (found.context_ids, found.target_ids) == (ids(QUESTION), ids(PREFIX))


def test_a_continuation_without_a_readable_step_teaches_none() -> None:
    # Right by its answer only: the steps are numbered 1, 3, so none can be read.
    item = from_bifurcation()
    attempt = replace(item.attempts[0], response=f"{PREFIX} 3) loses minus 5 = 48 answer 48")
    item = replace(item, attempts=(attempt,))
    assert internalize(item, words(), TASK.steps, target="step", context="prefix") == "no_step"


def test_a_continuation_that_only_answers_teaches_none() -> None:
    item = from_bifurcation("answer 48")
    assert first_step(item.attempts[0], item.prefix_ids, words(), TASK.steps) == ()


def test_the_white_space_between_contiguous_steps_is_no_step_of_the_continuation() -> None:
    # " plus" is one token, so the prefix before step 2 lacks the space that step 1 ends with.
    tokenizer = bytes_bpe()
    assert len(tokenizer.encode(" plus")) == 1
    wrong = tokenizer.encode("finds 3. plus 4.")
    prefix_ids = wrong[: tokenizer.token_index(wrong, len("finds 3. "))]
    assert tokenizer.decode(prefix_ids) == "finds 3."
    right = tokenizer.encode(" plus 5. sorts 6.")

    def sentences(text: str) -> tuple[Step, ...]:
        cuts = [0, *(m.end() for m in re.finditer(r"\. ", text)), len(text)]
        return tuple(Step(number=i, start=a, end=b) for i, (a, b) in enumerate(pairwise(cuts), 1))

    attempt = Attempt(
        completion=Completion(token_ids=right, text=tokenizer.decode(right)),
        response=tokenizer.decode(prefix_ids + right),
        verdict=Verdict(is_correct=True, reason="right"),
    )
    assert tokenizer.decode(first_step(attempt, prefix_ids, tokenizer, sentences)) == " plus 5."


@pytest.mark.parametrize(("target", "context"), [(t, c) for t, contexts in ALLOWED.items() for c in contexts])
def test_what_was_not_kept_teaches_nothing(target: Target, context: Context) -> None:
    item = replayed(candidate(), WRONG_AT_2, is_kept=False)
    assert internalize(item, words(), TASK.steps, target=target, context=context) == "not_kept"
    assert internalize(rejected_item(), words(), TASK.steps, target=target, context=context) == "not_kept"


@pytest.mark.parametrize("target", ["experience", "heuristic", "heuristic+critique"])
def test_both_contexts_give_a_row_each(target: Target) -> None:
    item = from_start()
    assert rows(item, target, "both") == (row(item, target, "retrospective"), row(item, target, "question"))


def test_critique_and_heuristic_are_what_follows_the_step() -> None:
    found = row(from_start(), "heuristic+critique", "retrospective")
    assert found.context_ids == ids(f"start 50 {WALK} at 2)")
    assert found.target_ids == ended("sorts not minus ; rule sorts means same")
    assert row(from_start(), "heuristic+critique", "question").target_ids == ids(
        "sorts not minus ; rule sorts means same"
    )


def sibling_replay() -> Replayed:
    """M of the problem, replayed on another one whose rollouts were right in one of four."""
    other = group(RIGHT, *[WRONG_AT_2] * 3, problem=Problem(id="q", text="start 40 1) buys 1", answer="48"))
    return replace(from_start(), on=other)


def test_a_solution_of_a_sibling_is_learned_on_its_question_and_an_experience_on_its_own() -> None:
    assert row(sibling_replay(), "solution", "question").context_ids == ids("<user> start 40 1) buys 1 <assistant>")
    assert row(sibling_replay(), "experience", "question").context_ids == ids(QUESTION)


def test_a_distilled_row_has_the_policy_with_the_note_as_its_teacher() -> None:
    asked = ids(f"<user> {PROBLEM.text} note {M_AT_2} <assistant>")
    item = replace(from_bifurcation(), prompt_ids=asked)
    step = distilled(row(item, "step", "prefix"), item, divergence="jsd", top_k=5)
    assert (step.term, step.target_ids) == ("distill", ids("2) sorts same 2 = 53"))
    assert step.context_ids == ids(f"{QUESTION} {PREFIX}")
    assert step.reference == Reference(context_ids=asked + ids(PREFIX), divergence="jsd", top_k=5)
    whole = distilled(row(item, "solution", "question"), item, divergence="forward_kl", top_k=None)
    assert whole.reference == Reference(context_ids=asked)


@pytest.mark.parametrize(
    ("item", "advantage"),
    # A group with 1 of 2 right; replays right, wrong, half of them right; and a sibling with 1 of 4 right.
    [
        (replayed(candidate(), RIGHT), 0.5),
        (replayed(candidate(), WRONG_AT_2, is_kept=False), -0.5),
        (replayed(candidate(), RIGHT, WRONG_AT_2), 0.0),
        (sibling_replay(), 0.75),
    ],
)
def test_every_replayed_experience_is_reinforced_by_its_success_above_the_pass_rate(
    item: Replayed, advantage: float
) -> None:
    found = reinforced(item)
    assert found is not None
    assert (found.term, found.context_ids, found.target_ids) == ("policy", ids("start 50"), ended(ANALYSIS))
    assert found.advantages == (advantage,) * len(ended(ANALYSIS))
    assert set(found.is_sampled) == {True}


def test_what_was_not_replayed_is_not_reinforced() -> None:
    assert reinforced(rejected_item()) is None


ONE_ROW = [(t, c) for t, contexts in ALLOWED.items() for c in contexts if c != "both"]


@pytest.mark.parametrize(("target", "context"), ONE_ROW)
def test_byte_level_rows_spell_the_same_text(target: Target, context: Context) -> None:
    tokenizer = bytes_bpe()
    prefix = tokenizer.encode(PREFIX)
    item = replayed(candidate(tokenizer=tokenizer), f" {CONTINUED}", prefix=prefix, tokenizer=tokenizer)
    found = row(item, target, context, tokenizer)
    text = {
        "experience": ANALYSIS,
        "heuristic": "sorts means same" if context == "question" else " sorts means same",
        "heuristic+critique": " " * (context != "question") + "sorts not minus ; rule sorts means same",
        "step": " 2) sorts same 2 = 53",
        "solution": f" {CONTINUED}" if context == "prefix" else f"{PREFIX} {CONTINUED}",
    }[target]
    assert tokenizer.decode(found.target_ids) == text
    asked = f"<user> {PROBLEM.text} <assistant>"
    written = {"heuristic": " sorts means same", "heuristic+critique": " sorts not minus ; rule sorts means same"}
    before = "start 50" + (ANALYSIS.removesuffix(written[target]) if target in written else "")
    assert (
        tokenizer.decode(found.context_ids)
        == {
            "retrospective": before,
            "question": asked,
            "prefix": asked + PREFIX,
        }[context]
    )
    assert M_AT_2 not in tokenizer.decode(found.context_ids)
