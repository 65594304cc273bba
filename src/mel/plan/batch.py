"""How a recipe's batch lies on the processes: rows, micro-steps, groups, and what TRL would refuse."""

from __future__ import annotations

from dataclasses import dataclass

from mel.config import Recipe
from mel.plan.context import group_size
from mel.plan.layout import Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Sizes of one generation batch and of one optimizer step.

    Args:
        group_size: rollouts per problem, G.
        micro: rows of one micro-step on one process.
        slots: micro-steps that share one generation batch.
        accumulation: micro-steps of one optimizer step.
    """

    processes: int
    group_size: int
    micro: int
    slots: int
    accumulation: int
    iterations: int = 1

    @property
    def local_rollouts(self) -> int:
        """Rollouts that one process generates at once."""
        return self.micro * self.slots

    @property
    def local_groups(self) -> int:
        """Whole groups among them."""
        return self.local_rollouts // self.group_size

    @property
    def step_rollouts(self) -> int:
        """Rollouts that one optimizer step learns from, over all processes."""
        return self.processes * self.micro * self.accumulation

    @property
    def step_problems(self) -> int:
        """Problems that one optimizer step learns from, over all processes."""
        return self.step_rollouts // self.group_size


def batch_of(recipe: Recipe, layout: Layout) -> Batch:
    """The batch of that recipe under that layout.

    Raises:
        ValueError: groups that would be split over processes, or sizes that do not divide.
    """
    trainer = recipe.trainer
    micro = int(trainer.get("per_device_train_batch_size", 8))
    accumulation = int(trainer.get("gradient_accumulation_steps", 1))
    size = group_size(recipe)
    slots = int(trainer.get("steps_per_generation") or accumulation)
    whole = trainer.get("generation_batch_size")
    if whole is not None:
        slots = _slots_of(int(whole), micro * layout.processes)
    if (micro * slots) % size:
        raise ValueError(
            f"trainer: a group would be split over processes: per_device_train_batch_size ({micro}) x "
            f"steps_per_generation ({slots}) = {micro * slots} must be a multiple of num_generations ({size})"
        )
    return Batch(
        processes=layout.processes,
        group_size=size,
        micro=micro,
        slots=slots,
        accumulation=accumulation,
        iterations=int(trainer.get("num_iterations", 1)),
    )


def _slots_of(whole: int, step: int) -> int:
    if whole % step:
        raise ValueError(
            f"trainer.generation_batch_size ({whole}) must be a multiple of per_device_train_batch_size x processes "
            f"({step})"
        )
    return whole // step
