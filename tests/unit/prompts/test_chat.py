"""Where a character falls among sampled tokens, for real byte-level and word-level tokenizers."""

from __future__ import annotations

import random
import time

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from mel.prompts.chat import ChatTokenizer

EOS, MID = "<eos>", "<mid>"
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}> {{ m.content }} {% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)
CORPUS = ["the count is 53 and then\n\n2) the cat sorts = 57", "你好世界 第二步 😀👍 the answer is 12"] * 10


@pytest.fixture(scope="module")
def byte_level() -> PreTrainedTokenizerFast:
    """Byte-level BPE as Qwen's: merges over words, every byte a token, offsets untrimmed."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=340, special_tokens=[EOS, MID], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=EOS, chat_template=TEMPLATE)


@pytest.fixture(scope="module")
def word_level() -> PreTrainedTokenizerFast:
    """One token a word, joined by spaces, as the miniature's."""
    words = [
        EOS,
        MID,
        "<unk>",
        "<assistant>",
        "<user>",
        *["start", "53", "1)", "2)", "catches", "sorts", "plus", "same", "4", "2", "=", "57"],
    ]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=EOS,
        unk_token="<unk>",
        additional_special_tokens=[MID],
        chat_template=TEMPLATE,
    )


@pytest.fixture(scope="module")
def byte_fallback() -> PreTrainedTokenizerFast:
    """Llama's kind: `▁` for a space, a token per byte for characters outside the vocabulary."""
    pieces = ["<unk>", *(f"<0x{b:02X}>" for b in range(256)), "▁the", "▁cat", "s", "▁"]
    model = models.BPE(vocab={p: i for i, p in enumerate(pieces)}, merges=[], unk_token="<unk>", byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", chat_template=TEMPLATE)


@pytest.fixture(scope="module")
def bytes_of(byte_level: PreTrainedTokenizerFast) -> dict[int, bytes]:
    """The bytes each byte-level token stands for; none for a special token."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [b for b in range(256) if b not in printable]
    table = {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(other)}
    special = byte_level.convert_tokens_to_ids([EOS, MID])
    tokens = enumerate(byte_level.convert_ids_to_tokens(range(len(byte_level))))
    return {i: b"" if i in special else bytes(table[c] for c in token) for i, token in tokens}


def single_bytes(text: bytes, bytes_of: dict[int, bytes]) -> list[int]:
    """One token per byte, the split furthest from what the tokenizer would choose."""
    by_bytes = {b: i for i, b in bytes_of.items()}
    return [by_bytes[bytes([b])] for b in text]


def sampled_split(text: str, bytes_of: dict[int, bytes], special: int, rng: random.Random) -> list[int]:
    """Tokens whose bytes are those of `text`, split at random and with a special token strewn in."""
    by_bytes = {b: i for i, b in bytes_of.items() if b}
    data, ids, at = text.encode(), [], 0
    while at < len(data):
        choices = [n for n in range(1, 9) if data[at : at + n] in by_bytes and at + n <= len(data)]
        length = rng.choice(choices)
        ids.append(by_bytes[data[at : at + length]])
        at += length
        if rng.random() < 0.1:
            ids.append(special)
    return ids


def index_by_bytes(ids: list[int], bytes_of: dict[int, bytes], text: str, char: int) -> int:
    """The same answer from byte counts alone: the last token end that is a character's end, at or before `char`."""
    ends = {len(text[:n].encode()) for n in range(char + 1)}
    found, total = 0, 0
    for count, token_id in enumerate(ids, start=1):
        total += len(bytes_of[token_id])
        if total in ends:
            found = count
    return found


PIECES = ["the ", "count is", "\n\n", "2) ", "你", "好世界", "😀", "👍🏽", " = 57", "é"]


@pytest.mark.parametrize("seed", range(20))
def test_every_character_of_a_sampled_byte_level_split_falls_where_the_bytes_say(
    byte_level: PreTrainedTokenizerFast, bytes_of: dict[int, bytes], seed: int
) -> None:
    rng = random.Random(seed)
    text = "".join(rng.choice(PIECES) for _ in range(20))
    ids = sampled_split(text, bytes_of, byte_level.convert_tokens_to_ids(MID), rng)
    chat = ChatTokenizer(byte_level)
    assert chat.decode(ids) == text
    for char in range(len(text) + 1):
        assert chat.token_index(ids, char) == index_by_bytes(ids, bytes_of, text, char)


@pytest.mark.parametrize("seed", range(10))
def test_a_cut_at_any_character_decodes_to_a_beginning_of_the_text(
    byte_level: PreTrainedTokenizerFast, seed: int
) -> None:
    rng = random.Random(seed)
    ids = [rng.randrange(len(byte_level)) for _ in range(60)]  # mostly no valid UTF-8 at all
    chat = ChatTokenizer(byte_level)
    text = chat.decode(ids)
    cuts = [chat.token_index(ids, char) for char in range(len(text) + 1)]
    assert cuts == sorted(cuts)
    assert cuts[-1] == len(ids)
    for char, cut in enumerate(cuts):
        kept = chat.decode(ids[:cut])
        assert text.startswith(kept)
        assert len(kept) <= char


def test_a_character_split_over_tokens_is_kept_whole_or_not_at_all(
    byte_level: PreTrainedTokenizerFast, bytes_of: dict[int, bytes]
) -> None:
    chat = ChatTokenizer(byte_level)
    ids = single_bytes("a😀你".encode(), bytes_of)  # 1 + 4 + 3 tokens
    assert [chat.token_index(ids, char) for char in range(4)] == [0, 1, 5, 8]


def test_a_truncated_character_at_the_end_counts_as_one_character(
    byte_level: PreTrainedTokenizerFast, bytes_of: dict[int, bytes]
) -> None:
    chat = ChatTokenizer(byte_level)
    ids = single_bytes("a你".encode()[:-1], bytes_of)
    assert chat.decode(ids) == "a\ufffd"
    assert [chat.token_index(ids, char) for char in range(3)] == [0, 1, 3]


def test_a_token_that_straddles_the_character_is_left_out(byte_level: PreTrainedTokenizerFast) -> None:
    chat = ChatTokenizer(byte_level)
    ids = byte_level.encode(" the count", add_special_tokens=False)
    assert byte_level.convert_ids_to_tokens(ids) == ["Ġthe", "Ġcount"]
    assert chat.token_index(ids, 4) == 1
    assert chat.token_index(ids, 5) == 1  # inside the second token, after its space
    assert chat.token_index(ids, 9) == 1
    assert chat.token_index(ids, 10) == 2


def test_text_that_spells_a_special_token_is_text(
    byte_level: PreTrainedTokenizerFast, bytes_of: dict[int, bytes]
) -> None:
    chat = ChatTokenizer(byte_level)
    ids = single_bytes(b"a<eos>b", bytes_of)
    assert chat.decode(ids) == "a<eos>b"
    assert chat.token_index(ids, 6) == 6


def test_the_space_between_words_belongs_to_the_later_word(word_level: PreTrainedTokenizerFast) -> None:
    chat = ChatTokenizer(word_level)
    text = "1) catches plus 4 = 57 2) sorts same 2 = 57"
    ids = chat.encode(text)
    second = text.index("2) sorts")
    assert chat.token_index(ids, second) == 6
    assert chat.token_index(ids, second - 1) == 6
    assert chat.token_index(ids, second - 2) == 5
    assert chat.decode(ids[:6]) == "1) catches plus 4 = 57"


def test_tokens_without_text_go_with_what_precedes_them(word_level: PreTrainedTokenizerFast) -> None:
    chat = ChatTokenizer(word_level)
    mid, eos = word_level.convert_tokens_to_ids([MID, EOS])
    ids = (mid, *chat.encode("start 53"), mid, *chat.encode("1) catches"), eos)
    text = chat.decode(ids)
    assert text == "start 53 1) catches"
    assert chat.token_index(ids, 0) == 1
    assert chat.token_index(ids, text.index("1)")) == 4
    assert chat.token_index(ids, len(text)) == 7


def test_bytes_of_a_run_outside_the_vocabulary_are_placed_by_character(byte_fallback: PreTrainedTokenizerFast) -> None:
    # This decoder turns a whole run into U+FFFD as long as its last character is unfinished.
    chat = ChatTokenizer(byte_fallback)
    the, cat, s = byte_fallback.convert_tokens_to_ids(["▁the", "▁cat", "s"])
    run = byte_fallback.convert_tokens_to_ids([f"<0x{b:02X}>" for b in "你好".encode()])
    ids = [the, *run, cat, s]
    assert chat.decode(ids) == "the你好 cats"
    assert [chat.token_index(ids, char) for char in range(13)] == [0, 0, 0, 1, 4, 7, 7, 7, 7, 8, 9, 9, 9]


def test_no_tokens_have_no_place(byte_level: PreTrainedTokenizerFast) -> None:
    assert ChatTokenizer(byte_level).token_index([], 0) == 0
    assert ChatTokenizer(byte_level).token_index((), 5) == 0


def test_placing_a_step_in_a_long_rollout_takes_milliseconds(byte_level: PreTrainedTokenizerFast) -> None:
    chat = ChatTokenizer(byte_level)
    ids = chat.encode("the count is 53 and then\n\n2) the cat sorts = 57 " * 300)
    assert len(ids) > 4000
    start = time.process_time()
    chat.token_index(ids, 6000)
    assert time.process_time() - start < 0.25  # about 0.01 s; a decoding per token takes seconds


def test_a_conversation_ends_where_the_answer_begins(word_level: PreTrainedTokenizerFast) -> None:
    ids = ChatTokenizer(word_level).chat([{"role": "user", "content": "start 53"}])
    assert word_level.convert_ids_to_tokens(list(ids)) == ["<user>", "start", "53", "<assistant>"]


def test_a_template_given_replaces_the_tokenizers_own(word_level: PreTrainedTokenizerFast) -> None:
    chat = ChatTokenizer(word_level, chat_template="{{ messages[0].content }} = ")
    assert word_level.decode(list(chat.chat([{"role": "user", "content": "start 53"}]))) == "start 53 ="


def test_a_tokenizer_without_any_template_is_refused(byte_level: PreTrainedTokenizerFast) -> None:
    bare = PreTrainedTokenizerFast(tokenizer_object=byte_level.backend_tokenizer, eos_token=EOS)
    with pytest.raises(ValueError, match=r"no chat template .* model\.chat_template .* `plain`"):
        ChatTokenizer(bare)


def test_an_object_that_is_no_fast_tokenizer_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a fast tokenizer .* got str"):
        ChatTokenizer("Qwen")


def test_a_template_gets_what_it_takes_besides_messages(byte_level: PreTrainedTokenizerFast) -> None:
    template = TEMPLATE + "{% if enable_thinking is false %}no thinking{% endif %}"
    asked = [{"role": "user", "content": "53"}]
    plain = ChatTokenizer(byte_level, template)
    quiet = ChatTokenizer(byte_level, template, template_options={"enable_thinking": False})
    assert plain.decode(plain.chat(asked)) == "<user> 53 <assistant> "
    assert quiet.decode(quiet.chat(asked)) == "<user> 53 <assistant> no thinking"
