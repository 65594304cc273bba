"""What two ranks and one rank with the union batch do alike: rollouts, rewards, rows and arguments.

Part of what `two_ranks` runs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import tiny

from mel.types import Row, Step

GROUP = 4


def fixed_completions(prompts: list[Any], trainer: Any) -> dict[str, Any]:
    """Completions that depend on the prompt and the place in its group alone, not on the rank or its random state."""
    ids = trainer._tokenize_prompts(prompts)[0]
    completions = []
    for i, prompt in enumerate(ids):
        place = i % GROUP
        words = [5 + (sum(prompt) * (place + 2) + 7 * k * k + place) % 40 for k in range(2 + (sum(prompt) + place) % 4)]
        completions.append([*words, 1] if place % 2 else words)
    return {"prompt_ids": ids, "completion_ids": completions, "logprobs": None}


def rewards_by_place(completions: list[Any], **kwargs: Any) -> list[float]:
    """Differ within every group."""
    return [len(c[0]["content"].split()) % 3 + 0.25 * (i % GROUP) for i, c in enumerate(completions)]


def rows_of(rank: int, counts: tuple[int, int]) -> list[Row]:
    """The rows of one of two ranks; all different."""
    start = 0 if rank == 0 else counts[0]
    return [
        Row(
            context_ids=tuple(5 + (3 * i + k) % 40 for k in range(2 + i % 3)),
            target_ids=tuple(5 + (5 * i + k) % 40 for k in range(1 + i % 4)),
        )
        for i in range(start, start + counts[rank])
    ]


def word_by_word(solution: str) -> tuple[Step, ...]:
    """A step per word."""
    words = list(re.finditer(r"\S+", solution))
    return tuple(Step(number=i, start=word.start(), end=word.end()) for i, word in enumerate(words, 1))


def still(folder: Path, world: int, accumulation: int, **changes: Any) -> Any:
    """Arguments of a step that applies gradients unclipped and learns nothing, unless the changes say otherwise."""
    settings = {
        "num_generations": GROUP,
        "gradient_accumulation_steps": accumulation,
        # Four rollouts of a group at least must lie on each rank.
        "per_device_train_batch_size": 8 // world // accumulation,
    }
    return tiny.still(folder / "out", **settings, **changes)
