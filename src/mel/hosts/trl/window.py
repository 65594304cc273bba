"""What the parts of a method can ask for at most, against the positions of the model, before the first step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Dataset
from trl.trainer.grpo_trainer import GRPOTrainer

from mel.hosts.load import positions_of
from mel.hosts.trl.problems import opening_of
from mel.methods import AskingSettings, Limits, Method
from mel.ports import Tokenizer
from mel.prompts import PromptSet
from mel.verify.reward import content_text

MODEL, ENGINE = "the model's max_position_embeddings", "vllm_max_model_length"

ENOUGH = 50
"""So many prompts, those with the most bytes first, are measured to tell the longest where one is known not to fit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """How long the sequences of a method may get.

    Args:
        sizes: what bounds a sequence -> tokens.
        asking: settings of every part that may ask, each behind what its fields are called with where one sets them.
        instruction: tokens of the longest instruction that they read, without anything filled in.
        completion: limit of a rollout.
        replaces_turn: turns of the method's own take the place of a prompt's last one, which must be the user's.
    """

    sizes: Mapping[str, int]
    asking: Sequence[tuple[str, AskingSettings]]
    instruction: int
    completion: int
    replaces_turn: bool = True

    def faults(self, prompt: int) -> list[str]:
        """The phases that do not fit with a prompt of so many tokens, each with the numbers and what to turn."""
        limits = Limits(prompt=prompt, instruction=self.instruction, completion=self.completion)
        needs = [(place, settings.needs(limits)) for place, settings in self.asking]
        # What is only scored passes through the model and never through the engine.
        found = [(place, phase, name) for place, of_one in needs for phase in of_one.phases for name in self.sizes]
        found += [(place, phase, MODEL) for place, of_one in needs for phase in of_one.scored if MODEL in self.sizes]
        return [
            phase.of_section("settings.", place).fault(
                name, self.sizes[name], or_else=f", or raise {name}" if name == ENGINE else ""
            )
            for place, phase, name in found
            if phase.tokens > self.sizes[name]
        ]


def window_of(trainer: GRPOTrainer, method: Method, prompts: PromptSet | None, tokenizer: Tokenizer) -> Window:
    """The window of the trainer's model, and of its engine where that has one of its own.

    Args:
        prompts: of the method that the `mel_*` fields describe; None for a method that was given, whose instructions
            are not known and count as nothing.
    """
    args: Any = trainer.args
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    engine = args.vllm_max_model_length if args.use_vllm else None
    found = {MODEL: positions_of(model.config), ENGINE: engine}
    asking = _asking(method, is_own=prompts is not None)
    turns = [prompts.bare(name) for _, settings in asking for name in settings.prompts] if prompts else []
    return Window(
        sizes={name: size for name, size in found.items() if size is not None},
        asking=asking,
        instruction=max((len(tokenizer.chat([{"role": "user", "content": turn}])) for turn in turns), default=0),
        completion=args.max_completion_length or 0,
        replaces_turn=method.asks_about_problems,
    )


def _asking(method: Method, *, is_own: bool) -> list[tuple[str, AskingSettings]]:
    """The settings of every part of the method that may ask, behind what their fields are called with.

    Args:
        is_own: the `mel_*` fields describe the method; a method that was given is called by the names of its parts.
    """
    parts: list[tuple[str, AskingSettings]] = [("mel_" if is_own else f"{s.name}.", s) for s in method.settings]
    credit = method.credit_settings
    parts.append(("mel_credit_settings." if is_own else f"{credit.name}.", credit))
    if method.diagnosis is not None:
        parts.append(("mel_" if is_own else "", method.diagnosis.settings))
    return parts


def check_window(window: Window, dataset: Any, tokenizer: Tokenizer) -> None:
    """Refuses sequences that would run out of positions, and prompts in whose place nothing can be asked.

    Nearly every prompt is short enough by its number of bytes, of which a token has at least one; only the others are
    tokenized. A stream of data is not read for it: its prompts count as nothing.

    Raises:
        ValueError: the phases that do not fit, with the numbers and what to turn; or a row that does not end with the
            user's turn.
    """
    per_turn = len(tokenizer.chat([{"role": "user", "content": ""}]))
    rows: Any = dataset
    most = [(_most_tokens(prompt, per_turn), row) for row, prompt in enumerate(_prompts(dataset, window))]
    longest = 0
    for measured, (bound, row) in enumerate(sorted(most, reverse=True)):
        if bound <= longest or not window.faults(bound) or (measured >= ENOUGH and window.faults(longest)):
            break
        prompt = rows[row]["prompt"]
        longest = max(longest, len(tokenizer.encode(prompt) if isinstance(prompt, str) else tokenizer.chat(prompt)))
    faults = window.faults(longest)
    if faults:
        raise ValueError("sequences that the method asks for do not fit their context: " + "; ".join(faults))


def _prompts(dataset: Any, window: Window) -> Iterator[Any]:
    """The prompts of a data set whose rows can be read twice at no cost."""
    if not isinstance(dataset, Dataset) or "prompt" not in dataset.column_names or dataset.format["type"] == "custom":
        return
    alone: Any = dataset.select_columns("prompt").with_format(None)
    for row, prompt in enumerate(prompt for batch in alone.iter(batch_size=1000) for prompt in batch["prompt"]):
        try:
            opening_of(prompt) if window.replaces_turn else ()
        except ValueError as error:
            raise ValueError(f"train_dataset, row {row}: {error}") from None
        yield prompt


def _most_tokens(prompt: Any, per_turn: int) -> int:
    """More than the prompt can have: its bytes, and what the chat template puts around each turn."""
    turns = [prompt] if isinstance(prompt, str) else [content_text(turn["content"]) for turn in prompt]
    return sum(len(turn.encode(errors="replace")) for turn in turns) + per_turn * (1 + len(turns))
