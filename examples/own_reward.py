"""Meta-experience learning in a TRL script of your own: your rows, your reward function, no recipe.

    python examples/own_reward.py               # two optimizer steps of the shipped miniature, on a CPU
    python examples/own_reward.py --steps 60    # as many as a recipe of the miniature has

docs/trainer.md says what each argument does, and what to change for a large model.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Sequence
from typing import Any

from datasets import Dataset

from mel import MELConfig, MELTrainer, tasks
from mel.miniature import policies


def right_number(completions: Sequence[Any], answer: Sequence[str], **_: Any) -> list[float]:
    """An ordinary reward function of TRL: 1 if the number after the last `answer` is the row's `answer`, else 0."""
    said = [re.findall(r"answer (\d+)", completion[0]["content"]) for completion in completions]
    return [float(numbers[-1:] == [gold]) for numbers, gold in zip(said, answer, strict=True)]


def rows(count: int) -> Dataset:
    """A data set with the two columns that are needed: a conversation that asks, and what the reward function reads."""
    problems = tasks.load("story_counts").problems("train", count)
    return Dataset.from_list(
        [{"prompt": [{"role": "user", "content": p.text}], "answer": p.answer} for p in problems],
    )


def main() -> None:
    """Train, and print what the trainer logged of the experiences."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=2)
    steps = parser.parse_args().steps
    with tempfile.TemporaryDirectory() as folder:
        trainer = MELTrainer(
            model=str(policies.path(0)),
            reward_funcs=right_number,
            train_dataset=rows(8 * steps),
            args=MELConfig(
                output_dir=folder,
                max_steps=steps,
                per_device_train_batch_size=64,  # 8 problems x 8 rollouts
                num_generations=8,
                max_completion_length=44,
                learning_rate=2e-4,
                loss_type="grpo",
                logging_steps=1,
                save_strategy="no",
                report_to="none",
                use_cpu=True,
                bf16=False,
                mel_prompts="story_counts",  # instructions in the miniature's own words; `math` for a language model
                mel_construct_max_tokens=64,
            ),
            segmenter=tasks.load("story_counts").steps,  # left out, every line of a solution is a step
        )
        trainer.train()
        for line in trainer.state.log_history[:steps]:
            counts = {name: line.get(f"experience/{name}", 0.0) for name in ("candidates", "parsed", "kept")}
            print(
                f"step {line['step']}: reward {line['reward']:.2f}, experiences written {counts['candidates']:.0f}, "
                f"readable {counts['parsed']:.0f}, kept after replay {counts['kept']:.0f}"
            )


if __name__ == "__main__":
    main()
