"""A run that would train nothing is refused before weights are read, and the number of steps is the trainer's."""

from __future__ import annotations

from pathlib import Path

import pytest

from mel.config import load_recipe
from mel.run import train
from mel.run.prepare import host_of, prepare

# 4 micro-batches of 16 rollouts: a generation batch of 8 problems with 8 rollouts each.
BATCH = [
    "evaluation.suites=[]",
    "evaluation.every=null",
    "trainer.per_device_train_batch_size=16",
    "trainer.gradient_accumulation_steps=4",
    "trainer.num_generations=8",
]


def total_steps(tmp_path: Path, *changes: str) -> int:
    recipe = load_recipe("recommended", [*BATCH, *changes])
    return host_of(recipe).total_steps(prepare(recipe, tmp_path / "run"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["task.count=7", "trainer.max_steps=5"], "at least the 8 problems of one generation batch"),
        (["task.count=7", "trainer.max_steps=-1"], "got 7: the run would train no step"),
        (["trainer.max_steps=0"], "trainer.max_steps: expected -1 or a whole number of at least 1, got 0"),
        (
            ["trainer.max_steps=-1", "trainer.num_train_epochs=0"],
            "trainer.num_train_epochs: expected a number above 0, got 0",
        ),
    ],
)
def test_a_run_that_would_train_no_step_is_refused_before_anything_is_written(
    changes: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        train(load_recipe("recommended", [*BATCH, *changes]), output=tmp_path / "run")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        (["task.count=8", "trainer.num_train_epochs=1"], 1),
        (["task.count=20", "trainer.num_train_epochs=3"], 6),  # 2 whole batches an epoch; 4 problems wait
        (["task.count=20", "trainer.num_train_epochs=3", "trainer.num_iterations=2"], 12),
        # 16 problems at once, spread over two steps; 4 problems wait.
        (["task.count=20", "trainer.num_train_epochs=1", "trainer.steps_per_generation=8"], 2),
    ],
)
def test_steps_are_counted_in_whole_generation_batches(changes: list[str], steps: int, tmp_path: Path) -> None:
    assert total_steps(tmp_path, "trainer.max_steps=-1", *changes) == steps
