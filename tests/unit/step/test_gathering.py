"""Several generation batches learned from at once: who is asked when, which rows fall due when, and what waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from mel.methods import AuxiliarySettings
from mel.step import Alone, Gathering, Ranks
from mel.types import Group, Outcome, Problem, Row


class Settings(AuxiliarySettings):
    name: ClassVar[str] = "notes"
    rates: ClassVar[Mapping[str, tuple[str, str]]] = {"retention": ("kept", "replayed")}
    every: int = 2

    @property
    def gathers(self) -> int:
        return self.every


def group(name: str) -> Group:
    return Group(problem=Problem(id=name, text="", answer=""), prompt_ids=(1,), rollouts=())


def row(number: int) -> Row:
    return Row(context_ids=(1,), target_ids=(number,))


class Auxiliary:
    """Makes so many rows whenever it is asked, numbered over the whole run."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.seen: list[list[str]] = []
        self.made = 0

    def ask(self, groups: Sequence[Group]) -> Outcome:
        self.seen.append([group.problem.id for group in groups])
        first, self.made = self.made, self.made + self.rows
        return Outcome(rows=tuple(row(i) for i in range(first, self.made)), counts={"kept": self.rows, "replayed": 9})


ALONE = Alone()


def run(
    auxiliary: Auxiliary, gathering: Gathering, batches: Sequence[str], every: int, ranks: Ranks = ALONE
) -> list[Outcome]:
    settings = Settings(every=every)
    return [gathering.learn(settings, [group(name) for name in batch], auxiliary.ask, ranks=ranks) for batch in batches]


def numbers(outcomes: Sequence[Outcome]) -> list[list[int]]:
    return [[row.target_ids[0] for row in outcome.rows] for outcome in outcomes]


def test_it_is_asked_about_all_groups_at_the_last_of_its_batches_and_its_rows_fall_due_from_then_on() -> None:
    auxiliary, gathering = Auxiliary(rows=5), Gathering.of([Settings(every=3)])
    found = run(auxiliary, gathering, ["ab", "cd", "ef", "gh", "ij", "kl", "mn"], every=3)
    assert auxiliary.seen == [list("abcdef"), list("ghijkl")]
    assert numbers(found) == [[], [], [0, 3], [1, 4], [2], [5, 8], [6, 9]]
    assert [o.counts["waiting/groups"] for o in found] == [2, 4, 0, 2, 4, 0, 2]
    assert [o.counts["waiting/rows"] for o in found] == [0, 0, 3, 1, 0, 3, 1]


class Among:
    """One of several ranks that make so many rows each."""

    def __init__(self, index: int, rows: list[Any]) -> None:
        self.index = index
        self._rows = rows

    def all_of(self, value: Any) -> list[Any]:
        assert value == self._rows[self.index]
        return self._rows

    on_main = all_of


def test_ranks_with_few_rows_each_give_every_batch_as_many() -> None:
    made = [1, 1, 0, 3, 1]
    # Rows 0, 1, (2, 3, 4) and 5 of the whole batch, of which the even ones belong to the first of the two steps.
    found = [
        numbers(run(Auxiliary(rows), Gathering.of([Settings()]), "abc", 2, Among(rank, [*made])))[1:]
        for rank, rows in enumerate(made)
    ]
    assert found == [[[0], []], [[], [0]], [[], []], [[0, 2], [1]], [[], [0]]]


def test_a_batch_that_only_waits_counts_as_nothing_in_its_rates() -> None:
    first, second = run(Auxiliary(rows=1), Gathering.of([Settings()]), ["a", "b"], every=2)
    assert first.counts == {"kept": 0, "replayed": 0, "waiting/groups": 1, "waiting/rows": 0}
    assert second.counts == {"kept": 1, "replayed": 9, "waiting/groups": 0, "waiting/rows": 0}


def test_only_what_gathers_waits() -> None:
    assert Gathering.of([Settings(every=1)]).waiting == {}


def test_rows_that_must_be_learned_by_the_policy_that_sampled_them_are_refused() -> None:
    def sampled(groups: Sequence[Group]) -> Outcome:
        return Outcome(rows=(Row(context_ids=(1,), target_ids=(2,), term="policy", advantages=(1.0,)),))

    gathering = Gathering.of([Settings()])
    gathering.learn(Settings(), [group("a")], sampled, ranks=ALONE)
    with pytest.raises(ValueError, match="'notes' gathers batches and made policy rows"):
        gathering.learn(Settings(), [group("b")], sampled, ranks=ALONE)
