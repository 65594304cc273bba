from collections.abc import Callable, Sequence

import pytest

from mel.types import (
    Attempt,
    Candidate,
    Completion,
    Group,
    MetaExperience,
    Pair,
    Problem,
    Replayed,
    Rollout,
    Step,
    Truth,
    Verdict,
)

RIGHT, WRONG = Verdict(is_correct=True, reason="right"), Verdict(is_correct=False, reason="wrong")


@pytest.fixture
def make_replayed() -> Callable[..., Replayed]:
    return _make


def _make(
    *,
    problem: str = "start 5 ; 1) sorts 2 ; 2) wins 3",
    problem_id: str = "story-0",
    wrong: str = "1) sorts minus 2 = 3 2) wins plus 3 = 6 answer 6",
    bifurcation: int = 1,
    critique: str = "1) sorts not minus",
    heuristic: str = "sorts means same",
    failure: str = "",
    attempts: Sequence[bool] = (True,),
    reason: str | None = None,
    states_answer: bool = False,
    first_error: int | None = None,
    is_true_rule: bool | None = None,
) -> Replayed:
    right = "1) sorts same 2 = 5 2) wins plus 3 = 8 answer 8"
    cut = wrong.find("2)")
    rollouts = (
        Rollout(token_ids=(1, 2), text=right, verdict=RIGHT, reward=1.0),
        Rollout(token_ids=(1, 3), text=wrong, verdict=WRONG, reward=0.0),
    )
    group = Group(problem=Problem(id=problem_id, text=problem, answer="8"), prompt_ids=(7, 8), rollouts=rollouts)
    pair = Pair(
        group=group,
        right=rollouts[0],
        wrong=rollouts[1],
        wrong_index=1,
        right_steps=(Step(number=1, start=0, end=20), Step(number=2, start=20, end=38)),
        wrong_steps=(Step(number=1, start=0, end=cut), Step(number=2, start=cut, end=len(wrong) - 9)),
    )
    text = f"at {critique} ; rule {heuristic}"
    experience = MetaExperience(bifurcation=bifurcation, critique=critique, heuristic=heuristic, text=text)
    candidate = Candidate(
        pair=pair,
        context_ids=(9, 9, 9),
        completion=Completion(token_ids=(4, 5, 6), text=f"1) same minus ! {text}"),
        experience=None if failure else experience,
        failure=failure,
        states_answer=states_answer,
    )
    made = tuple(
        Attempt(
            completion=Completion(token_ids=(1,), text="sorts same"),
            response="1) sorts same",
            verdict=RIGHT if ok else WRONG,
        )
        for ok in (() if failure else attempts)
    )
    is_kept = not failure and any(attempts) and reason in (None, "kept")
    return Replayed(
        candidate=candidate,
        prefix_ids=(),
        attempts=made,
        is_kept=is_kept,
        reason=reason or failure or ("kept" if is_kept else "failed_replay"),
        truth=Truth(first_error=first_error, is_true_rule=is_true_rule),
    )
