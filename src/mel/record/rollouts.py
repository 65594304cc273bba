"""The log of training rollouts: every response the policy was trained on and its verdict, as Parquet files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mel.record.columns import storable
from mel.record.errors import disk_full_as_error
from mel.types import Group

ROLLOUTS = "rollouts"
"""Directory of a run that holds the log."""

NEEDS_PYARROW = "needs pyarrow, which comes with `datasets`: pip install datasets"

COLUMNS = {
    "step": "int64",
    "batch": "int64",
    "group": "int64",
    "rollout": "int64",
    "problem_id": "string",
    "problem": "string",
    "answer": "string",
    "response": "string",
    "num_tokens": "int64",
    "is_truncated": "bool",
    "reward": "float64",
    "is_correct": "bool",
    "reason": "string",
    "detail": "string",
}
"""Name and Arrow type of each column; docs/run_directory.md says what they hold."""


class RolloutLog:
    """`rollouts/`: one file for each generation batch, which is there whole or not at all.

    A file of its own per batch makes the log correct after a kill without a journal: what a resumed run does again is
    deleted by its name, and no file is ever opened a second time.

    Raises:
        ValueError: pyarrow is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            import pyarrow as arrow
            import pyarrow.parquet as parquet
        except ImportError:
            raise ValueError(f"output.rollouts: true {NEEDS_PYARROW}") from None
        self._schema = arrow.schema(
            [(name, getattr(arrow, kind + "_" * (kind == "bool"))()) for name, kind in COLUMNS.items()]
        )
        self._table, self._write = arrow.Table.from_pylist, parquet.write_table

    def append(self, step: int, groups: Sequence[Group]) -> None:
        """Write the rollouts of one generation batch.

        Args:
            step: the optimizer step, 1-based, that the batch is first used in.
            groups: of all ranks, in rank order.

        Raises:
            DiskFullError: nothing of this batch was written.
        """
        batch = len([*self.path.glob(f"step-{step:08d}-*.parquet")])
        rows = list(_rows(step, batch, groups))
        if not rows:
            return  # `datasets` refuses a file without rows
        self.path.mkdir(exist_ok=True)
        path = self.path / f"step-{step:08d}-batch-{batch:03d}.parquet"
        part = path.with_suffix(".part")
        try:
            with disk_full_as_error(path, f"logging the rollouts of step {step}"):
                self._write(self._table(rows, schema=self._schema), part)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        os.replace(part, path)


def drop_after(path: Path, step: int) -> int:
    """Delete the batches of every later step, and a half-written one; returns how many batches were deleted."""
    later = [file for file in path.glob("step-*.parquet") if int(file.name.split("-")[1]) > step]
    for file in [*later, *path.glob("*.part")]:
        file.unlink()
    return len(later)


def _rows(step: int, batch: int, groups: Sequence[Group]) -> Iterator[dict[str, Any]]:
    for number, group in enumerate(groups):
        for place, rollout in enumerate(group.rollouts):
            yield {
                "step": step,
                "batch": batch,
                "group": number,
                "rollout": place,
                "problem_id": group.problem.id,
                "problem": storable(group.problem.text),
                "answer": storable(group.problem.answer),
                "response": storable(rollout.text),
                "num_tokens": len(rollout.token_ids),
                "is_truncated": rollout.is_truncated,
                "reward": rollout.reward,
                "is_correct": rollout.verdict.is_correct,
                "reason": rollout.verdict.reason,
                "detail": storable(rollout.verdict.detail),
            }
