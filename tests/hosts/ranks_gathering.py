"""An auxiliary that gathers batches, on two ranks with unequal rows and on one: what is learned, logged and resumed.

Part of what `two_ranks` runs; `test_trl_ranks` compares what is saved here.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tiny
import torch
import whole_table
from alike import fixed_completions, rewards_by_place, still

from mel.ports import Requests
from mel.record.rollouts import ROLLOUTS, RolloutLog, drop_after
from mel.types import Group, Outcome, Problem, Row, Verdict

STEPS = 5
ROWS = {(0, 0): 1, (0, 1): 0, (1, 0): 2, (1, 1): 1}
"""(rank, batch of two) -> rows of that rank's group: four in all, whose first two belong to the first of two steps."""


class Late(tiny.RowsFrom):
    """Rows of the rollouts of each group, as `ROWS` says; and one of what it generated itself, where it is to.

    Args:
        samples: whether a row of its own completions is learned as well.
    """

    settings = tiny.EverySecond()

    def __init__(self, rank: int, world: int, *, samples: bool) -> None:
        # Ranks ask for unequal numbers of completions.
        super().__init__(lambda call: [], prompts=lambda call: 2 + rank)
        self._rank, self._world, self._samples = rank, world, samples

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        outcome = yield from super().learn(groups, step=step)
        rows = []
        for place, group in enumerate(groups):
            batch, rank = (place, self._rank) if self._world == 2 else divmod(place, 2)
            chosen = group.rollouts[: ROWS[rank, batch]]
            rows += [Row(context_ids=group.prompt_ids, target_ids=each.token_ids) for each in chosen]
        if self._samples:
            rows.append(Row(context_ids=groups[0].prompt_ids, target_ids=self.answers[-1][1][0].token_ids))
        return Outcome(rows=tuple(rows), counts=outcome.counts)


class OddFirstWord:
    """Right if the first word has an odd number."""

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        rewards = tiny.odd_first_word([[{"content": response}] for response in responses])
        return [Verdict(is_correct=bool(r), reason="right" if r else "wrong") for r in rewards]


class Logs:
    """Keeps every rollout it is told of, and from which rank's steps it hears."""

    def __init__(self, path: Path) -> None:
        self._log = RolloutLog(path)
        self.followed: set[int] = set()

    def on_outcome(self, step: int, outcome: Outcome, groups: Sequence[Group]) -> None:
        self._log.append(step, groups)

    def on_metrics(self, step: int, metrics: Mapping[str, Any]) -> None:
        pass

    def on_progress(self, progress: Any) -> None:
        self.followed.add(progress.step)


def train_each(folder: Path, rank: int, world: int) -> None:
    """Still, to compare one rank with two; on two ranks also learning, and gone on with from two of its checkpoints."""
    _train("still", folder, rank, world, learning_rate=0.0)
    if world == 2:
        moving = {"learning_rate": 1e-2, "save_strategy": "steps", "save_steps": 1}
        _train("whole", folder, rank, world, **moving)
        # After step 2 rows wait, after step 3 a group.
        for step in (2, 3):
            if rank == 0:
                shutil.copytree(folder / "late-whole", folder / f"late-after{step}")
                drop_after(folder / f"late-after{step}" / ROLLOUTS, step)
            _train(f"after{step}", folder, rank, world, resume=step, **moving)


def _train(name: str, folder: Path, rank: int, world: int, *, resume: int | None = None, **changes: Any) -> None:
    path = folder / f"late-{name}"
    args = still(path, world, 1, **{"max_steps": STEPS, **changes})
    recorder, logs = tiny.StepGradients(), Logs(path / ROLLOUTS)
    trainer = tiny.mel_trainer(
        args,
        Late(rank, world, samples=name != "still"),
        callbacks=[recorder],
        rollout_func=fixed_completions,
        reward_funcs=rewards_by_place,
        verifier=OddFirstWord(),
        observer=logs,
    )
    trainer.accelerator.wait_for_everyone()
    with whole_table.counted() as calls:
        trainer.train(resume_from_checkpoint=str(path / "out" / f"checkpoint-{resume}") if resume else None)
    times = ("time", "runtime", "per_second")
    log = [
        {key: value for key, value in line.items() if not any(word in key for word in times)}
        for line in trainer.state.log_history
        if "rows/real" in line
    ]
    found = {"steps": recorder.steps, "log": log, "calls": calls, "weights": tiny.parameters(trainer)}
    torch.save(found | {"followed": logs.followed}, folder / f"late-{name}-rank{rank}.pt")
