"""Shares of right steps by concept, counted up to the first error."""

from mel.record.concepts import ConceptCounts
from mel.tasks.story_counts import Story, StoryCounts, solution_text, true_readings
from mel.types import Group, Problem, Rollout, Verdict

TEXT = "start 50 1) finds 4 2) sorts 2 3) loses 5"
RIGHT = solution_text(true_readings(Story.parse(TEXT)))


def rollout(text: str, *, is_correct: bool = False) -> Rollout:
    verdict = Verdict(is_correct=is_correct, reason="right" if is_correct else "wrong")
    return Rollout(token_ids=(1,), text=text, verdict=verdict, reward=float(is_correct))


def test_steps_count_up_to_the_first_error_and_the_counts_begin_anew() -> None:
    problem = Problem(id="p", text=TEXT, answer="49")
    rollouts = (
        rollout(RIGHT, is_correct=True),
        rollout("1) finds plus 4 = 54 2) sorts minus 2 = 52 3) loses minus 5 = 47 answer 47"),  # wrong from `sorts` on
        rollout("I do not know"),
        rollout("1) finds plus 4 = 54 2) sorts same 2 = 54 3) loses minus 5 = 49 answer 48"),  # only the answer
    )
    counts = ConceptCounts(StoryCounts(length=3))
    counts.add([Group(problem=problem, prompt_ids=(), rollouts=rollouts)])
    assert counts.take() == {"concept/finds": 1.0, "concept/loses": 1.0, "concept/sorts": 0.5}
    assert counts.take() == {}
