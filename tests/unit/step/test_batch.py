"""A generation batch through the three slots, with canned answers; two ranks are two threads that really exchange."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from mel.methods import AuxiliarySettings, Limits, Longest, Method, Needs, drive
from mel.methods.carriers import CARRIERS
from mel.methods.credit.outcome import Outcome as OutcomeCredit
from mel.ports import Credit, Requests
from mel.requests import Generate, Score, Verify
from mel.step import Accounting, Alone, Learned, Rolled, learn
from mel.types import Completion, Group, Outcome, Problem, Rollout, Row, Sampling, TokenIds, Verdict


def rollout(reward: float, *ids: int) -> Rollout:
    is_right = reward > 0.5
    verdict = Verdict(is_correct=is_right, reason="right" if is_right else "wrong")
    return Rollout(token_ids=ids, text="", verdict=verdict, reward=reward)


def group(name: str, *rewards: float) -> Group:
    rollouts = tuple(rollout(r, 1, 2) for r in rewards)
    return Group(problem=Problem(id=name, text="", answer=""), prompt_ids=(90,), rollouts=rollouts)


class Engine:
    """Writes three tokens for every prompt, finds every response right, and gives every target token -1."""

    def generate(self, prompts: Sequence[TokenIds], sampling: Sampling) -> list[Completion]:
        return [Completion(token_ids=(5, 6, 7), text="x") for _ in prompts]

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        return [Verdict(is_correct=True, reason="right") for _ in responses]

    def score(self, request: Score) -> list[tuple[float, ...]]:
        return [(-1.0,) * len(target) for target in request.targets]


class WritesSettings(AuxiliarySettings):
    name: ClassVar[str] = "writes"
    namespace: ClassVar[str] = "notes"
    rates: ClassVar[Mapping[str, tuple[str, str]]] = {"kept_rate": ("kept", "written"), "never": ("kept", "nothing")}

    def needs(self, limits: Limits) -> Needs:
        return Needs(phases=(Longest(phase="write", prompt=1, completion=3, knob="settings.x"),))


class Writes:
    """One prompt and one row per mixed group."""

    name = "writes"

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        mixed = [g for g in groups if g.is_mixed]
        prompts = tuple(g.prompt_ids for g in mixed)
        written = yield Generate(prompts=prompts, sampling=Sampling(max_tokens=3), phase="write")
        yield Verify(problems=tuple(g.problem for g in mixed), responses=("x",) * len(mixed))
        yield Score(contexts=prompts, targets=prompts)
        rows = tuple(Row(context_ids=(90, 91), target_ids=c.token_ids) for c in written if isinstance(c, Completion))
        return Outcome(rows=rows, counts={"written": len(rows), "kept": len(rows) * 0.5, "step": step})


class ChangesSettings(AuxiliarySettings):
    name: ClassVar[str] = "changes"
    changes_groups: ClassVar[bool] = True

    def needs(self, limits: Limits) -> Needs:
        return Needs()


class Changes:
    name = "changes"

    def __init__(self, change: Callable[[Group], Group]) -> None:
        self._change = change

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        yield from ()
        return Outcome(groups=tuple(map(self._change, groups)), counts={"seen": len(groups)})


class Sees:
    """Keeps the groups that it was shown."""

    name = "sees"

    def __init__(self) -> None:
        self.groups: list[Group] = []

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        yield from ()
        self.groups += groups
        return Outcome()


class Halves:
    """Credit that asks for something and gives the second token half of the advantage."""

    name = "halves"

    def assign(
        self, groups: Sequence[Group], advantages: Sequence[Sequence[float]], outcomes: Mapping[str, Outcome]
    ) -> Requests[list[list[list[float]]] | None]:
        yield Generate(prompts=((1,),), sampling=Sampling(max_tokens=3), phase="judge")
        return [[[a, a / 2] for a in of_group] for of_group in advantages]


def method(*auxiliaries: Any, carrier: str = "grpo", credit: Credit | None = None, settings: Any = ()) -> Method:
    return Method(
        carrier=CARRIERS[carrier]().build(None),
        credit=credit or OutcomeCredit(),  # type: ignore[arg-type]
        auxiliaries=auxiliaries,
        settings=settings,
    )


def run(of: Method, groups: Sequence[Group], *, all_rewards: Any = None, ranks: Any = None, step: int = 1) -> Learned:
    rewards = tuple(tuple(r.reward for r in g.rollouts) for g in groups)
    rolled = Rolled(
        groups=tuple(groups),
        rewards=all_rewards or rewards,
        advantages=tuple(10.0 + i for i in range(sum(map(len, rewards)))),
    )
    engine = Engine()
    return learn(
        of,
        rolled,
        step=step,
        answer=lambda requests: drive(requests, engine, engine, engine),
        ranks=ranks or Alone(),
        accounting=Accounting(),
    )


WRITES, CHANGES = WritesSettings(), ChangesSettings()
MIXED, ALIKE = group("m", 1.0, 0.0), group("a", 0.0, 0.0)


def test_counts_stand_in_the_auxiliarys_namespace_with_its_rates_and_phases() -> None:
    learned = run(method(Writes(), settings=(WRITES,)), [MIXED, ALIKE], step=7)
    found = {name: value for name, value in learned.metrics.items() if not name.startswith("time_s/")}
    assert found == {
        "reward/mean": 0.25,
        "reward/groups_mixed": 0.5,
        "reward/groups_right": 0.0,
        "reward/groups_wrong": 0.5,
        "tokens/rows": 3,
        "tokens/rows_context": 2,
        "tokens/rollout": 0,
        "tokens/write": 3,
        "notes/written": 1,
        "notes/kept": 0.5,
        "notes/step": 7,
        "notes/kept_rate": 0.5,
        "rows/real": 1,
        "rows/dummy": 0,
    }
    assert {name for name in learned.metrics if name.startswith("time_s/")} == {
        "time_s/score", "time_s/verify", "time_s/write"
    }  # fmt: skip


def test_a_declared_phase_counts_0_tokens_where_nothing_was_written() -> None:
    learned = run(method(Writes(), settings=(WRITES,)), [ALIKE])
    assert (learned.metrics["tokens/write"], learned.metrics["notes/written"]) == (0, 0)
    assert "notes/kept_rate" not in learned.metrics


def test_rows_carry_the_name_of_their_auxiliary() -> None:
    other = Writes()
    other.name = "other"
    learned = run(method(Writes(), other, settings=(WRITES,)), [MIXED])
    assert [row.auxiliary for row in learned.rows] == ["writes", "other"]
    assert learned.totals.rows == {("other", "nll"): 1, ("writes", "nll"): 1}
    # One that declares nothing counts under its own name.
    assert (learned.metrics["notes/written"], learned.metrics["other/written"]) == (1, 1)
    assert learned.metrics["tokens/write"] == 6


def test_plain_grpo_keeps_the_hosts_own_advantages() -> None:
    assert run(method(), [MIXED]).advantages is None


def test_another_carrier_brings_its_own_advantages() -> None:
    # RLOO: each reward minus the mean of the others.
    assert run(method(carrier="rloo"), [group("g", 1.0, 0.0, 0.5)]).advantages == pytest.approx([0.75, -0.75, 0.0])


def test_credit_may_ask_and_distributes_the_hosts_advantages_of_plain_grpo() -> None:
    learned = run(method(credit=Halves()), [MIXED, ALIKE])
    assert learned.advantages == [(10.0, 5.0), (11.0, 5.5), (12.0, 6.0), (13.0, 6.5)]
    assert learned.metrics["tokens/judge"] == 3


def test_a_rollout_that_no_reward_function_scored_has_no_advantage_and_no_part_in_the_mean() -> None:
    learned = run(method(carrier="rloo"), [group("g", 1.0, math.nan)])
    assert learned.advantages == [1.0, 0.0]
    assert learned.metrics["reward/mean"] == 1.0


def test_a_batch_that_no_reward_function_scored_has_no_mean() -> None:
    assert math.isnan(run(method(), [group("g", math.nan, math.nan)]).metrics["reward/mean"])


def with_one_more(of: Group) -> Group:
    return replace(of, rollouts=(*of.rollouts, rollout(0.5, 3, 4)))


def test_the_carrier_sees_the_rollout_that_was_added_and_so_does_the_next_auxiliary() -> None:
    sees = Sees()
    learned = run(method(Changes(with_one_more), sees, carrier="rloo", settings=(CHANGES,)), [MIXED])
    assert learned.advantages == pytest.approx([0.75, -0.75])
    (row,) = learned.rows
    assert (row.target_ids, row.advantages) == ((3, 4), (0.0, 0.0))
    assert [len(g.rollouts) for g in sees.groups] == [3]
    assert (learned.share.host_rollouts, learned.share.rollouts) == (2, 3)


def test_changed_groups_of_plain_grpo_are_normalized_anew_and_unchanged_ones_are_the_hosts() -> None:
    replaced = Changes(lambda g: replace(g, rollouts=(g.rollouts[0], rollout(1.0, 8))))
    learned = run(method(replaced, settings=(CHANGES,)), [group("g", 0.0, 0.0)])
    half = 0.5 / (math.sqrt(0.5) + 1e-4)
    assert learned.advantages == pytest.approx([-half, 0.0])
    assert learned.rows[0].advantages == pytest.approx((half,))
    assert run(method(Changes(lambda g: g), settings=(CHANGES,)), [MIXED]).advantages is None


class AddsAGroup:
    """Behind the others a group of its own about the first problem."""

    name = "changes"

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        yield from ()
        own = replace(groups[0], rollouts=(rollout(1.0, 3), rollout(1.0, 4), rollout(0.0, 5)))
        return Outcome(groups=(*groups, own) if len(groups) == 1 else tuple(groups))


def test_a_group_of_its_own_on_one_rank_leaves_the_baselines_of_all_others_alone() -> None:
    left, right = [group("p", 1.0, 0.0)], [group("q", 0.0, 1.0), group("r", 0.0, 0.0)]
    found, _ = on_two_ranks(lambda: method(AddsAGroup(), carrier="rloo", settings=(CHANGES,)), left, right)
    assert [learned.advantages for learned in found] == [[1.0, -1.0], [-1.0, 1.0, 0.0, 0.0]]
    assert [row.advantages for row in found[0].rows] == [(0.5,), (0.5,), (-1.0,)]
    assert found[1].rows == ()
    assert found[0].share == found[1].share
    assert (found[0].share.host_rollouts, found[0].share.rollouts) == (6, 9)


def test_groups_changed_without_a_declaration_are_refused() -> None:
    with pytest.raises(ValueError, match="'changes' handed back groups, and its settings do not say"):
        run(method(Changes(with_one_more)), [MIXED])


class HandsPolicyRows:
    name = "hands"

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        yield from ()
        row = Row(context_ids=(1,), target_ids=(2,), term="policy", advantages=(1.0,), is_sampled=(True,))
        return Outcome(rows=(row,))


def test_policy_rows_of_an_auxiliary_have_a_denominator_of_their_own() -> None:
    learned = run(method(HandsPolicyRows()), [MIXED])
    assert learned.totals.rows == {("hands", "policy"): 1}
    assert learned.share.rollouts == learned.share.host_rollouts == 2


class Exchange:
    """What the ranks of a test share; every call waits for all of them."""

    def __init__(self, size: int) -> None:
        self._values: list[Any] = [None] * size
        self._barrier = threading.Barrier(size, timeout=10)

    def swap(self, index: int, value: Any) -> list[Any]:
        self._values[index] = value
        self._barrier.wait()
        found = list(self._values)
        self._barrier.wait()
        return found


class Rank:
    """The `Ranks` port over threads."""

    def __init__(self, index: int, exchange: Exchange) -> None:
        self.index = index
        self.calls = 0
        self._exchange = exchange

    def all_of(self, value: Any) -> list[Any]:
        self.calls += 1
        return self._exchange.swap(self.index, value)

    def on_main(self, value: Any) -> list[Any]:
        found = self.all_of(value)
        return found if self.index == 0 else []


def on_two_ranks(of: Callable[[], Method], left: Sequence[Group], right: Sequence[Group]) -> tuple[list[Learned], int]:
    """What each rank learned, and how many collective calls each of them made."""
    exchange = Exchange(2)
    ranks = [Rank(i, exchange) for i in (0, 1)]
    rewards = tuple(tuple(r.reward for r in g.rollouts) for g in (*left, *right))
    found: list[Any] = [None, None]

    def work(i: int) -> None:
        found[i] = run(of(), (left, right)[i], all_rewards=rewards, ranks=ranks[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert None not in found
    assert ranks[0].calls == ranks[1].calls
    return found, ranks[0].calls


def test_ranks_agree_on_totals_share_and_metrics_and_keep_their_own_rows() -> None:
    found, calls = on_two_ranks(lambda: method(Writes(), settings=(WRITES,)), [MIXED, MIXED], [ALIKE, ALIKE])
    left, right = found
    assert calls == 1
    assert [len(learned.rows) for learned in found] == [2, 0]
    assert left.totals == right.totals
    assert (left.totals.rows, left.totals.most) == ({("writes", "nll"): 2}, {("writes", "nll"): 2})
    assert left.metrics == right.metrics
    assert (left.metrics["rows/real"], left.metrics["rows/dummy"]) == (2, 2)
    assert (left.metrics["notes/written"], left.metrics["notes/kept_rate"]) == (2, 0.5)
    assert left.metrics["reward/groups_mixed"] == 0.5


def test_a_group_changed_on_one_rank_gives_both_their_own_groups_advantages() -> None:
    left = [group("p", 1.0, 0.0), group("q", 0.0, 0.0)]
    right = [group("r", 0.0, 1.0), group("s", 1.0, 1.0)]
    change = Changes(lambda g: with_one_more(g) if g.problem.id == "q" else g)
    found, calls = on_two_ranks(lambda: method(change, settings=(CHANGES,)), left, right)
    assert calls == 2
    one = 0.5 / (math.sqrt(0.5) + 1e-4)
    spread = math.sqrt(1 / 12) + 1e-4
    assert found[0].advantages == pytest.approx([one, -one, -1 / 6 / spread, -1 / 6 / spread])
    # TRL's own would be as good here, but all ranks must take the same path: credit may ask for something.
    assert found[1].advantages == pytest.approx([-one, one, 0.0, 0.0])
    assert [len(learned.rows) for learned in found] == [1, 0]
    assert found[0].rows[0].advantages == pytest.approx((1 / 3 / spread,) * 2)
    assert found[0].share == found[1].share
    assert (found[0].share.host_rollouts, found[0].share.rollouts) == (8, 9)


def test_a_carrier_that_compares_all_groups_sees_those_of_both_ranks() -> None:
    left, right = [group("p", 1.0, 1.0)], [group("q", 0.0, 0.0)]
    found, _ = on_two_ranks(lambda: method(carrier="reinforce_pp"), left, right)
    expected = CARRIERS["reinforce_pp"]().build(None).advantages([group("p", 1.0, 1.0), group("q", 0.0, 0.0)])
    assert [learned.advantages for learned in found] == expected
    changed, _ = on_two_ranks(
        lambda: method(Changes(with_one_more), carrier="reinforce_pp", settings=(CHANGES,)), left, right
    )
    expected = CARRIERS["reinforce_pp"]().build(None).advantages([group("p", 1.0, 1.0, 0.5), group("q", 0.0, 0.0, 0.5)])
    assert [learned.advantages for learned in changed] == [of_group[:2] for of_group in expected]


def test_rewards_are_whitened_over_the_tokens_of_both_ranks() -> None:
    of = {"p": (rollout(1.0, 1), rollout(0.0, 1, 2, 3)), "q": (rollout(1.0, 1, 2), rollout(1.0, 1, 2))}
    left, right = ([replace(group(name), rollouts=rollouts)] for name, rollouts in of.items())
    carrier = CARRIERS["reinforce_pp"](baseline="none", over="tokens").build(None)
    found, calls = on_two_ranks(lambda: replace(method(), carrier=carrier), left, right)
    # Five of eight tokens have return 1: mean 5/8; squares 5 * 9/64 + 3 * 25/64 = 15/8; over 7; root .517549
    up, down = 0.375 / 0.51754917, -0.625 / 0.51754917
    assert [learned.advantages for learned in found] == [pytest.approx([up, down]), pytest.approx([up, up])]
    assert calls == 2
