"""The tokenizer port over any fast Hugging Face tokenizer, without importing transformers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from mel.prompts.quoting import broken_specials
from mel.types import Message, TokenIds


class ChatTokenizer:
    """Text to tokens and back by the model's own tokenizer and chat template.

    Args:
        tokenizer: a `PreTrainedTokenizerFast`.
        chat_template: Jinja text used instead of the tokenizer's own.
        template_options: what the template takes besides messages, such as `enable_thinking`.

    Raises:
        ValueError: neither a template of the tokenizer's own nor one given, or a slow tokenizer.
    """

    def __init__(
        self,
        tokenizer: Any,
        chat_template: str | None = None,
        *,
        template_options: Mapping[str, Any] | None = None,
    ) -> None:
        if not getattr(tokenizer, "is_fast", False):
            got = type(tokenizer).__name__
            raise ValueError(f"expected a fast tokenizer (character offsets are needed to place steps); got {got}")
        if not (chat_template or getattr(tokenizer, "chat_template", None)):
            raise ValueError(
                "the tokenizer has no chat template and none was given: set model.chat_template in the recipe "
                "(`--chat-template` of mel eval) to `plain` for base models, `chatml`, or the path of a Jinja file"
            )
        self._tokenizer = tokenizer
        self._template = chat_template
        self._options = dict(template_options or {})
        added = getattr(tokenizer, "added_tokens_decoder", {}).values()
        self._specials = {*tokenizer.all_special_tokens, *(token.content for token in added if token.special)}

    def chat(self, messages: Sequence[Message]) -> TokenIds:
        from jinja2 import TemplateError  # it comes with transformers; no recipe needs it to be read

        # A template renders text that is tokenized as a whole: `<|im_end|>` in a problem would end its turn.
        # The turns before are nobody's data to quote: they stay as the rollouts had them, whatever they hold.
        *opening, last = messages
        safe = {**last, "content": broken_specials(last["content"], self._specials)}
        try:
            ids = self._tokenizer.apply_chat_template(
                [*opening, safe],
                chat_template=self._template,
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                **self._options,
            )["input_ids"]
        except TemplateError as error:
            roles = ", ".join(turn["role"] for turn in messages)
            raise ValueError(f"the chat template refuses a conversation with the roles {roles}: {error}") from None
        return tuple(ids)

    def encode(self, text: str) -> TokenIds:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False))

    def decode(self, token_ids: Sequence[int]) -> str:
        return self._tokenizer.decode(list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def token_index(self, token_ids: Sequence[int], char: int) -> int:
        """Length of the longest beginning of `token_ids` that decodes to at most the first `char` characters.

        Only whole tokens and whole characters count: a token that straddles `char` is left out, and so is one
        that holds just some of the UTF-8 bytes of the character it is part of. White space that a decoder puts
        between two tokens belongs to the later one; tokens without text (special ones) belong to the earlier.

        The tokens themselves are decoded instead of their text re-encoded, because a model also samples splits
        that its tokenizer would not choose. A binary search makes that about a dozen decodings.
        """
        ids = list(token_ids)
        text = self.decode(ids)

        def end(count: int) -> int:
            """Characters of `text` that are complete once the character that token `count` is part of is."""
            # An unfinished character decodes to U+FFFD, so such a beginning is not one of the whole text.
            while not text.startswith(prefix := self.decode(ids[:count])):
                count += 1
            return len(prefix)

        return bisect_right(range(1, len(ids) + 1), char, key=end)


def template_text(name_or_path: str) -> str:
    """The Jinja text of a shipped template or of a file.

    Raises:
        ValueError: it is neither; with the names of the shipped ones.
    """
    shipped = Path(str(resources.files("mel.prompts"))) / "templates" / f"{name_or_path}.jinja"
    path = shipped if shipped.is_file() else Path(name_or_path)
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in shipped.parent.glob("*.jinja")))
        raise ValueError(f"model.chat_template: expected one of {known} or a Jinja file; got {name_or_path!r}")
    return path.read_text(encoding="utf-8")
