"""What a host tells the recorder ends in the run directory, whatever the method calls its parts."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from mel.record import RunDirectory
from mel.run.recorder import Recorder
from mel.tasks.story_counts import StoryCounts
from mel.types import Outcome, Replayed

Make = Callable[..., Replayed]


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path / "run", {"name": "a"}, {})


def recorder(directory: RunDirectory, console: Console | None = None) -> Recorder:
    return Recorder(directory, StoryCounts(length=5), total_steps=4, console=console or Console(quiet=True))


def line(**tokens: float) -> dict[str, float]:
    return {"reward/mean": 0.5, "reward/groups_mixed": 1.0, **{f"tokens/{k}": v for k, v in tokens.items()}}


def test_tokens_of_a_phase_that_nobody_here_knows_are_summed(directory: RunDirectory) -> None:
    told = recorder(directory)
    told.on_outcome(1, Outcome(), [])
    told.on_metrics(1, line(rollout=100, hint=30, rows=7, rows_context=50))
    told.on_metrics(2, {"loss": 0.1})  # the second step of the same generation batch
    told.on_outcome(3, Outcome(), [])
    told.on_outcome(3, Outcome(), [])
    told.on_metrics(3, line(rollout=90, hint=20, rows=5, rows_context=50))  # means of two batches
    told.on_metrics(3, {"train_runtime": 3.0})
    rows = directory.metrics.read()
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert [row.get("tokens/generated") for row in rows] == [130, None, 130 + 2 * 110]
    assert [row.get("tokens/trained") for row in rows] == [107, None, 107 + 2 * 95]
    assert directory.status.step == 3


def test_a_resumed_run_continues_its_sums(directory: RunDirectory) -> None:
    first = recorder(directory)
    for step in (1, 2):
        first.on_outcome(step, Outcome(), [])
        first.on_metrics(step, line(rollout=100))
    directory.truncate_after(1)
    second = recorder(directory)
    second.on_outcome(2, Outcome(), [])
    second.on_metrics(2, line(rollout=100))
    assert [row["tokens/generated"] for row in directory.metrics.read()] == [100, 200]


def test_candidates_of_all_batches_of_a_step_are_kept_with_their_truth(
    directory: RunDirectory, make_replayed: Make
) -> None:
    told = recorder(directory)
    told.on_outcome(1, Outcome(replayed=(make_replayed(first_error=1), make_replayed(attempts=(False,)))), [])
    told.on_outcome(1, Outcome(replayed=(make_replayed(first_error=2, is_true_rule=True),)), [])
    found = directory.experiences.list().items
    assert [(e.step, e.index, e.first_error, e.rule_truth) for e in found] == [
        (1, 0, 1, None),
        (1, 1, None, None),
        (1, 2, 2, True),
    ]


def test_a_person_sees_reward_share_kept_tokens_and_time_left(directory: RunDirectory, make_replayed: Make) -> None:
    console = Console(file=StringIO(), width=100)
    told = recorder(directory, console)
    kept, failed, unread = make_replayed(), make_replayed(attempts=(False,)), make_replayed(failure="no_heuristic")
    told.on_outcome(1, Outcome(replayed=(kept, failed, unread)), [])
    told.on_metrics(1, line(rollout=1500))
    told.on_outcome(2, Outcome(), [])
    told.on_metrics(2, line(rollout=1500))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0] == "step 1/4  reward 0.50  kept 50%  2k tokens"
    assert lines[1].startswith("step 2/4  reward 0.50  3k tokens  ")


def test_a_run_without_a_mixed_group_is_warned_of(directory: RunDirectory) -> None:
    told = recorder(directory)
    assert told.warning() == ""
    told.on_metrics(1, {"reward/mean": 0.0, "reward/groups_mixed": 0.0})
    assert "no group was mixed in 1 logged steps" in told.warning()
    told.on_metrics(2, {"reward/mean": 0.5, "reward/groups_mixed": 0.5})
    assert told.warning() == ""


def test_rewards_that_differ_among_wrong_rollouts_are_not_called_nothing(directory: RunDirectory) -> None:
    told = recorder(directory)
    told.on_outcome(1, Outcome(), [])
    told.on_metrics(1, {"reward/mean": 0.2, "reward/groups_mixed": 0.0, "reward_std": 0.1, "tokens/rollout": 9.0})
    assert "nothing to learn from a contrast of rollouts, only from rewards between right and wrong" in told.warning()
    assert recorder(directory).warning() == told.warning(), "a resumed run knows it too"
