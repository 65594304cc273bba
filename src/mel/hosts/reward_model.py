"""The `Rater` port over a process reward model: any token classifier in the format of TRL's PRMTrainer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer

from mel.methods import RewardModel
from mel.ports import Ratings
from mel.requests import Rate

BATCH = 16
"""Solutions per forward pass."""


class TokenClassifier:
    """How likely each step is right: softmax over two classes, read at the last token of the separator behind it.

    A frozen copy of the model lies on this process's device; no other rank takes part in a call.

    Raises:
        ValueError: no such model, or one whose number of classes is not two.
    """

    def __init__(self, model: RewardModel, *, device: Any = "cpu") -> None:
        check_reward_model(model)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(model.path)
        loaded: Any = AutoModelForTokenClassification.from_pretrained(model.path, dtype="auto")
        self._model = loaded.to(device).eval()
        self._device = device
        self._separator = self._encoded(model.separator)

    def rate(self, request: Rate) -> list[Ratings]:
        """One tuple per solution, in order.

        Raises:
            ValueError: a solution is longer than the model's positions.
        """
        laid = [self.laid_out(p.text, s) for p, s in zip(request.problems, request.solutions, strict=True)]
        order = sorted(range(len(laid)), key=lambda i: -len(laid[i][0]))
        found: dict[int, Ratings] = {}
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            right_RT = self._right([laid[i][0] for i in batch])
            for row, i in enumerate(batch):
                found[i] = tuple(right_RT[row, laid[i][1]].tolist())
        return [found[i] for i in range(len(laid))]

    def laid_out(self, problem: str, steps: Sequence[str]) -> tuple[list[int], list[int]]:
        """The tokens of a problem and its steps, and the position at which each step is rated.

        As PRMTrainer tokenizes a row: the beginning of sequence if the tokenizer has one, the problem, then each step,
        without white space around it, and the separator.
        """
        start = self._tokenizer.bos_token_id
        ids, ends = [*([] if start is None else [start]), *self._encoded(problem)], []
        for step in steps:
            ids += [*self._encoded(step.strip()), *self._separator]
            ends.append(len(ids) - 1)
        return ids, ends

    def _encoded(self, text: str) -> list[int]:
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]

    @torch.no_grad()
    def _right(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """Probability of the second class at every position (R, T), padded behind, in float32."""
        ids = [torch.tensor(sequence) for sequence in sequences]
        ids_RT = pad_sequence(ids, batch_first=True)
        mask_RT = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
        width, most = ids_RT.size(1), getattr(self._model.config, "max_position_embeddings", None)
        if most is not None and width > most:
            raise ValueError(
                f"the process reward model has {most} positions, and a problem with its solution takes {width} of its "
                "tokens: lower trainer.max_completion_length, or take a model with more positions"
            )
        logits_RTC = self._model(
            input_ids=ids_RT.to(self._device), attention_mask=mask_RT.to(self._device)
        ).logits.float()
        return logits_RTC.softmax(-1)[..., 1].cpu()


def check_reward_model(model: RewardModel) -> None:
    """Refuses what is no process reward model, by its config.json alone.

    Raises:
        ValueError: no such model, or one whose number of classes is not two.
    """
    try:
        config: Any = AutoConfig.from_pretrained(model.path)
    except (OSError, ValueError) as error:
        raise ValueError(f"process reward model {model.path}: {error}") from error
    if config.num_labels != 2:
        raise ValueError(
            f"process reward model {model.path}: expected two classes, wrong and right, as TRL's PRMTrainer trains "
            f"them; got {config.num_labels}"
        )


def rater_of(model: RewardModel | None, device: Any) -> TokenClassifier | None:
    """The process reward model that a method declares, ready to answer; None if it declares none."""
    return None if model is None else TokenClassifier(model, device=device)
