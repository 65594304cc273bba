"""Groups that an auxiliary changed: what becomes a policy row, what the host keeps, and what is refused."""

from dataclasses import replace

import pytest

from mel.step.changes import Share, check_changes, host_advantages, policy_rows
from mel.types import Group, Problem, Rollout, Verdict


def rollout(*ids: int, **fields: object) -> Rollout:
    wrong = Verdict(is_correct=False, reason="wrong")
    return Rollout(token_ids=ids, text="", verdict=wrong, reward=0.0, **fields)  # type: ignore[arg-type]


def group(name: str, *rollouts: Rollout) -> Group:
    return Group(problem=Problem(id=name, text="", answer=""), prompt_ids=(90, 91), rollouts=rollouts)


P = group("p", rollout(1, 2), rollout(3, 4, 5))
Q = group("q", rollout(6), rollout(7, 8))
HINTED = rollout(10, 11, 12, 13, context_ids=(90, 91, 92), hint=range(1, 3))


def with_rollouts(of: Group, *rollouts: Rollout) -> Group:
    return replace(of, rollouts=rollouts)


def test_an_added_rollout_is_a_row_in_its_own_context_and_given_tokens_have_no_advantage() -> None:
    changed = [P, with_rollouts(Q, *Q.rollouts, HINTED)]
    (row,) = policy_rows([P, Q], changed, [[1.0, 2.0], [3.0, 4.0, 5.0]])
    assert (row.context_ids, row.target_ids, row.term) == ((90, 91, 92), (10, 11, 12, 13), "policy")
    assert row.advantages == (5.0, 0.0, 0.0, 5.0)
    assert row.is_sampled == (True, False, False, True)
    assert host_advantages([P, Q], changed, [[1.0, 2.0], [3.0, 4.0, 5.0]]) == [1.0, 2.0, 3.0, 4.0]


def test_a_replaced_rollout_keeps_its_place_with_advantage_0_and_its_replacement_is_a_row() -> None:
    changed = [with_rollouts(P, P.rollouts[0], rollout(20, 21)), Q]
    advantages = [[1.0, 2.0], [3.0, 4.0]]
    (row,) = policy_rows([P, Q], changed, advantages)
    assert (row.context_ids, row.target_ids, row.advantages) == ((90, 91), (20, 21), (2.0, 2.0))
    assert host_advantages([P, Q], changed, advantages) == [1.0, 0.0, 3.0, 4.0]


def test_advantages_per_token_go_with_the_rollout_they_are_of() -> None:
    changed = [with_rollouts(P, P.rollouts[0], HINTED)]
    advantages = [[(0.5, -0.5), (1.0, 2.0, 3.0, 4.0)]]
    (row,) = policy_rows([P], changed, advantages)
    assert row.advantages == (1.0, 0.0, 0.0, 4.0)
    assert host_advantages([P], changed, advantages) == [(0.5, -0.5), 0.0]


def test_an_equal_copy_is_not_the_hosts_rollout_and_one_that_moved_is_not_either() -> None:
    copied = [with_rollouts(P, replace(P.rollouts[0]), P.rollouts[1])]
    assert len(policy_rows([P], copied, [[1.0, 2.0]])) == 1
    swapped = [with_rollouts(P, *reversed(P.rollouts))]
    assert len(policy_rows([P], swapped, [[1.0, 2.0]])) == 2
    assert host_advantages([P], swapped, [[1.0, 2.0]]) == [0.0, 0.0]


def test_groups_that_are_as_they_were_give_no_row() -> None:
    assert policy_rows([P, Q], [P, replace(Q)], [[1.0, 2.0], [3.0, 4.0]]) == []


def test_the_share_counts_sampled_tokens_before_and_after_over_all_ranks() -> None:
    here = Share.of([P], [with_rollouts(P, P.rollouts[0], HINTED, rollout(1, 1, 1))])
    assert here == Share(host_rollouts=2, host_tokens=5, rollouts=3, tokens=2 + 2 + 3)
    there = Share.of([Q], [Q])
    assert Share.sum([here, there]) == Share(host_rollouts=4, host_tokens=8, rollouts=5, tokens=10)


REFUSED = [
    ([P], "in order; got 1"),
    (
        [Q, P],
        "expected a group of problem p, or one of another problem without rollouts .*; got problem q with 2 of them",
    ),
    ([with_rollouts(P, P.rollouts[0]), Q], "at least 2 rollouts of problem p .*got 1"),
    ([P, with_rollouts(Q, *Q.rollouts, rollout())], "problem q holds no sampled token"),
    ([P, with_rollouts(Q, *Q.rollouts, rollout(1, 2, hint=range(2)))], "problem q holds no sampled token"),
]


@pytest.mark.parametrize(("changed", "message"), REFUSED)
def test_groups_that_cannot_be_put_back_are_refused(changed: list[Group], message: str) -> None:
    with pytest.raises(ValueError, match=f"auxiliary 'who'.*{message}"):
        check_changes([P, Q], changed, "who")


def test_a_group_of_another_problem_may_take_a_place_if_no_rollout_of_it_came_in() -> None:
    other = group("r", rollout(4), rollout(5, 6))
    check_changes([P, Q], [other, Q], "who")
    rows = policy_rows([P, Q], [other, Q], [[1.0, 2.0], [3.0, 4.0]])
    assert [(row.context_ids, row.target_ids) for row in rows] == [(other.prompt_ids, (4,)), (other.prompt_ids, (5, 6))]
    assert host_advantages([P, Q], [other, Q], [[1.0, 2.0], [3.0, 4.0]]) == [0.0, 0.0, 3.0, 4.0]


def test_a_rollout_without_a_token_is_the_hosts_business_unless_it_was_copied() -> None:
    empty = group("e", rollout(), rollout(1))
    check_changes([empty], [with_rollouts(empty, *empty.rollouts, rollout(2))], "who")
    with pytest.raises(ValueError, match="no sampled token"):
        check_changes([empty], [with_rollouts(empty, replace(empty.rollouts[0]), empty.rollouts[1])], "who")
