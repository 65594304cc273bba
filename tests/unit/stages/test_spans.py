"""Which tokens are which step's, for tokenizers of three kinds and for splits that none of them would choose."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from stories import RIGHT, TASK, bytes_bpe, ended, sentencepiece, words

from mel.prompts.chat import ChatTokenizer
from mel.stages.spans import covering, joined, step_spans
from mel.types import Step, TokenIds

PIECES = {
    words: ["1)", "finds", "plus 3", "= 53", "2) sorts", "same", "<eos>", "answer 48"],
    bytes_bpe: ["1) ", "finds", " plus 3", " = 5", "3 2) s", "orts", "你好", "😀", "é\n\n", "<eos>"],
    sentencepiece: ["1) ", "finds", " plus 3", " = 5", "3 2) s", "orts", "你好", "😀", "é\n\n", "<eos>"],
}


def sampled(kind: Callable[[], ChatTokenizer], rng: random.Random) -> TokenIds:
    """Tokens in a split of their own, with special tokens among them, and cut anywhere, also within a character."""
    found = [t for _ in range(12) for t in kind().encode(rng.choice(PIECES[kind]))]
    return tuple(found[: len(found) - rng.randrange(4)])


def cut_at_random(text: str, rng: random.Random) -> tuple[Step, ...]:
    """Steps with white space between some of them, text before the first, and text behind the last."""
    cuts = sorted(rng.sample(range(len(text) + 1), 4))
    while text[cuts[1] - 1 : cuts[1]] == " " and cuts[1] > cuts[0] + 1:
        cuts[1] -= 1
    space = len(text[cuts[1] :]) - len(text[cuts[1] :].lstrip(" "))
    second = min(cuts[1] + space, cuts[2])
    bounds = [(cuts[0], cuts[1]), (second, cuts[2]), (cuts[2], cuts[3])]
    return tuple(Step(number=i, start=a, end=b) for i, (a, b) in enumerate(bounds, 1))


def first_reaching(tokenizer: ChatTokenizer, ids: TokenIds, char: int) -> int:
    """The number of leading tokens that do not reach past `char`, found by trying each: the definition, in the open."""
    text, kept = tokenizer.decode(ids), 0
    for count in range(len(ids) + 1):
        prefix = tokenizer.decode(ids[:count])
        if text.startswith(prefix):
            if len(prefix) > char:
                break
            kept = count
    return kept


@pytest.mark.parametrize("kind", PIECES, ids=lambda kind: kind.__name__)
def test_a_step_begins_with_the_first_token_that_holds_a_part_of_it(kind: Callable[[], ChatTokenizer]) -> None:
    tokenizer = kind()
    for seed in range(60):
        rng = random.Random(seed)
        ids = sampled(kind, rng)
        steps = cut_at_random(tokenizer.decode(ids), rng)
        spans = step_spans(ids, steps, tokenizer)
        assert [span.start for span in spans] == [first_reaching(tokenizer, ids, step.start) for step in steps]
        assert [span.stop for span in spans[:-1]] == [span.start for span in spans[1:]]
        assert spans[-1].stop == first_reaching(tokenizer, ids, steps[-1].end)


def test_the_words_of_three_steps_are_six_each_and_the_answer_is_no_steps() -> None:
    spans = step_spans(ended(RIGHT), TASK.steps(RIGHT), words())
    assert spans == (range(6), range(6, 12), range(12, 18))


def test_a_token_that_reaches_into_the_next_step_is_the_next_steps() -> None:
    tokenizer = sentencepiece()
    text = "plus = 53 2) s"
    ids = tokenizer.encode(text)
    # `53 2)` is one token of this vocabulary, and the second step begins within it.
    assert [tokenizer.decode([i]) for i in ids] == ["p", "l", "u", "s", "=", "", "53 2)", "", "s"]
    steps = (Step(number=1, start=0, end=9), Step(number=2, start=10, end=14))
    assert step_spans(ids, steps, tokenizer) == (range(6), range(6, 9))


def test_a_step_inside_one_token_has_no_token_of_its_own() -> None:
    tokenizer = sentencepiece()
    ids = tokenizer.encode("53 2)")
    steps = (Step(number=1, start=0, end=2), Step(number=2, start=3, end=5))
    assert step_spans(ids, steps, tokenizer) == (range(0), range(1))


def test_no_steps_have_no_spans() -> None:
    assert step_spans(ended(RIGHT), (), words()) == ()


def test_covering_spans_take_in_what_stands_outside_every_step() -> None:
    assert covering((range(2, 4), range(4, 9)), 12) == (range(4), range(4, 12))
    assert covering((range(2, 4),), 12) == (range(12),)
    assert covering((), 3) == (range(3),)


def test_joined_steps_are_parts_of_like_number() -> None:
    five = tuple(
        Step(number=i + 1, start=a, end=b) for i, (a, b) in enumerate([(1, 2), (2, 5), (6, 7), (7, 8), (8, 9)])
    )
    assert joined(five, 5) == five
    assert [(s.number, s.start, s.end) for s in joined(five, 2)] == [(1, 1, 5), (2, 6, 9)]
    assert [(s.number, s.start, s.end) for s in joined(five, 1)] == [(1, 1, 9)]
    assert joined((), 2) == ()
