"""The warm-up of a pretrained language model for tales: supervised training by TRL's own `SFTTrainer`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from datasets import Dataset
from transformers import TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from mel import prompts
from mel.miniature.tales_corpus import Item, Mixture, TalesCorpus
from mel.prompts.chat import ChatTokenizer

IGNORED = -100
"""The label of a token that is not learned."""

PASSES = 2
"""Forward and backward passes of a step: the shorter half of its sequences and the longer, which saves padding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TalesWarmUp:
    """Settings of the warm-up; the defaults take less than 20 minutes on one core.

    Args:
        batch_size: sequences of a step.
        lr: peak learning rate of AdamW, after a linear rise over a tenth of the steps and before a linear fall.
        bf16: matrix products in bfloat16 over float32 weights.
    """

    steps: int = 64
    batch_size: int = 8
    lr: float = 3e-4
    bf16: bool = True
    seed: int = 0
    mixture: Mixture = field(default_factory=Mixture)


def warm_up(
    model: Any,
    tokenizer: Any,
    *,
    settings: TalesWarmUp,
    device: str,
    progress: Callable[[int, float], None] | None = None,
) -> None:
    """Train ``model`` in place; ``progress`` gets the step and the mean loss since it was last told."""
    end = (tokenizer.eos_token_id,)
    corpus = TalesCorpus(
        ChatTokenizer(tokenizer), prompts.load("tales"), end=end, seed=settings.seed, mixture=settings.mixture
    )
    items = list(islice(corpus.items(), settings.steps * settings.batch_size))
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=model,
            args=_arguments(settings, folder, device),
            train_dataset=_dataset(_by_length(items, settings.batch_size)),
            processing_class=tokenizer,
            callbacks=[_Told(progress)] if progress is not None else [],
        )
        for callback in ("PrinterCallback", "ProgressCallback"):
            _without(trainer, callback)
        trainer.train()
    model.eval()


def _arguments(settings: TalesWarmUp, folder: str, device: str) -> SFTConfig:
    return SFTConfig(
        output_dir=folder,
        max_steps=settings.steps,
        per_device_train_batch_size=max(1, settings.batch_size // PASSES),
        gradient_accumulation_steps=min(PASSES, settings.batch_size),
        train_sampling_strategy="sequential",
        learning_rate=settings.lr,
        lr_scheduler_type="linear",
        warmup_steps=settings.steps // 10,
        adam_beta2=0.98,
        max_grad_norm=1.0,
        bf16=settings.bf16,
        use_cpu=device == "cpu",
        gradient_checkpointing=False,
        save_strategy="no",
        report_to=[],
        logging_steps=5,
        disable_tqdm=True,
        seed=settings.seed,
        # Items come with their labels; nothing is left to prepare.
        dataset_kwargs={"skip_prepare_dataset": True},
    )


def _by_length(items: Sequence[Item], batch_size: int) -> list[Item]:
    """The items of each step in order of their length, the steps as they were."""
    starts = range(0, len(items), batch_size)
    return [
        item
        for start in starts
        for item in sorted(items[start : start + batch_size], key=lambda i: len(i.prompt_ids) + len(i.target_ids))
    ]


def _dataset(items: Sequence[Item]) -> Dataset:
    return Dataset.from_list(
        [
            {
                "input_ids": [*item.prompt_ids, *item.target_ids],
                "labels": [IGNORED] * len(item.prompt_ids) + list(item.target_ids),
            }
            for item in items
        ]
    )


class _Told(TrainerCallback):
    """Tells ``progress`` of every logged loss."""

    def __init__(self, progress: Callable[[int, float], None]) -> None:
        self._progress = progress

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if logs and "loss" in logs:
            self._progress(state.global_step, float(logs["loss"]))


def _without(trainer: Any, name: str) -> None:
    """Takes the callback of that name away: the command line says where training stands."""
    for callback in list(trainer.callback_handler.callbacks):
        if type(callback).__name__ == name:
            trainer.remove_callback(callback)
