"""The miniature's language: every word is one token, and a conversation is two role words."""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from mel.tasks.small_world import WorldKind
from mel.tasks.story_counts import STORIES

PAD, EOS, UNKNOWN, USER, ASSISTANT = "<pad>", "<eos>", "<unk>", "<user>", "<assistant>"
SPECIAL = (PAD, EOS, UNKNOWN, USER, ASSISTANT)
# What solutions, hints and experiences are made of. None of these is special: decoding must keep them.
WORDS = ("start", "=", "answer", "right", "wrong", "note", "at", "not", "rule", "means", "!", "none")


def vocabulary_of(kind: WorldKind[Any]) -> tuple[str, ...]:
    """Every word of a kind of world; its place is its id."""
    labels = tuple(f"{i})" for i in range(1, kind.max_length + 1))
    return SPECIAL + WORDS + labels + kind.meanings + tuple(kind.truth) + kind.words + kind.numbers


VOCABULARY = vocabulary_of(STORIES)

CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- if message['role'] == 'assistant' -%}<assistant> {{ message['content'] }} <eos>
{%- elif message['role'] == 'user' -%}<user> {{ message['content'] }}
{%- else -%}{{ raise_exception('the miniature knows the roles user and assistant; got ' + message['role']) }}
{%- endif -%}{{ ' ' }}
{%- endfor -%}
{%- if add_generation_prompt -%}<assistant>{%- endif -%}
"""


def build_tokenizer(kind: WorldKind[Any] = STORIES) -> PreTrainedTokenizerFast:
    """The word-level tokenizer with its chat template; the same for every world of a kind."""
    ids = {word: i for i, word in enumerate(vocabulary_of(kind))}
    words = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNKNOWN,
        additional_special_tokens=[USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    )
