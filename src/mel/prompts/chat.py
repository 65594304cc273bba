"""The tokenizer port over any fast Hugging Face tokenizer, without importing transformers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from mel.types import Message, TokenIds


class ChatTokenizer:
    """Text to tokens and back by the model's own tokenizer and chat template.

    Args:
        tokenizer: a `PreTrainedTokenizerFast`.
        chat_template: Jinja text used instead of the tokenizer's own.

    Raises:
        ValueError: neither a template of the tokenizer's own nor one given, or a slow tokenizer.
    """

    def __init__(self, tokenizer: Any, chat_template: str | None = None) -> None:
        if not getattr(tokenizer, "is_fast", False):
            got = type(tokenizer).__name__
            raise ValueError(f"expected a fast tokenizer (character offsets are needed to place steps); got {got}")
        if not (chat_template or getattr(tokenizer, "chat_template", None)):
            raise ValueError(
                "the tokenizer has no chat template and none was given: set model.chat_template in the recipe to "
                "`plain` (base models) or to the path of a Jinja file"
            )
        self._tokenizer = tokenizer
        self._template = chat_template

    def chat(self, messages: Sequence[Message]) -> TokenIds:
        ids = self._tokenizer.apply_chat_template(
            list(messages), chat_template=self._template, add_generation_prompt=True, tokenize=True, return_dict=True
        )["input_ids"]
        return tuple(ids)

    def encode(self, text: str) -> TokenIds:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False))

    def decode(self, token_ids: Sequence[int]) -> str:
        return self._tokenizer.decode(list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def token_index(self, token_ids: Sequence[int], char: int) -> int:
        """Number of leading tokens whose text lies wholly before character `char`.

        White space between two tokens belongs to the later one, so cutting at the start of a step keeps
        what precedes it whole. A token that straddles `char` is not counted.
        """
        ends = self._ends(token_ids)
        return bisect_right(ends, char)

    def _ends(self, token_ids: Sequence[int]) -> list[int]:
        """End character of each token in `decode(token_ids)`, never decreasing.

        Re-encoding the text gives exact offsets in one call; where the model sampled another split of the
        same text (rare but real), the text of every prefix is decoded instead.
        """
        ids = list(token_ids)
        text = self.decode(ids)
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        body = [i for i in ids if i not in self._special]
        if encoded["input_ids"] == body:
            ends = iter(end for _, end in encoded["offset_mapping"])
            found: list[int] = []
            for token in ids:
                found.append(
                    found[-1] if token in self._special and found else 0 if token in self._special else next(ends)
                )
            return found
        return self._prefix_ends(ids, text)

    def _prefix_ends(self, ids: list[int], text: str) -> list[int]:
        ends: list[int] = []
        for n in range(1, len(ids) + 1):
            prefix = self.decode(ids[:n])
            # An incomplete UTF-8 character decodes to U+FFFD and counts only once it is whole.
            while prefix and not text.startswith(prefix):
                prefix = prefix[:-1]
            ends.append(max(len(prefix), ends[-1] if ends else 0))
        return ends

    @property
    def _special(self) -> set[int]:
        return set(self._tokenizer.all_special_ids)
