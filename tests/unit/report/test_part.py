import pytest

from mel.report.part import TEXT, in_part

LETTERS = "".join(chr(0x4E00 + i % 5000) for i in range(3 * TEXT))
"""Hardly a letter twice, so that a part is known by its text."""

SPANS = [(at, at + 100) for at in range(0, len(LETTERS), 100)]


def test_a_short_text_is_whole() -> None:
    assert in_part("x" * TEXT, [(0, 3)]) == ("x" * TEXT, [(0, 3)])


def test_of_a_long_text_beginning_and_end_are_shown_and_the_rest_is_counted() -> None:
    shown, _ = in_part(LETTERS)
    assert shown == f"{LETTERS[:2000]} [... 8,000 characters left out ...] {LETTERS[-2000:]}"


@pytest.mark.parametrize("step", [0, 9, 19, 30, 60, 89, 101, 119])
def test_the_step_to_be_seen_is_shown_whole_wherever_it_is(step: int) -> None:
    shown, spans = in_part(LETTERS, SPANS, about=SPANS[step])
    assert shown[slice(*spans[step])] == LETTERS[slice(*SPANS[step])]
    assert shown.startswith(LETTERS[:1000])
    assert shown.endswith(LETTERS[-1000:])
    assert len(shown) < TEXT + 100


def test_every_span_holds_what_is_shown_of_its_text_and_a_hidden_one_is_empty() -> None:
    shown, spans = in_part(LETTERS, SPANS, about=SPANS[60])
    for span, was in zip(spans, SPANS, strict=True):
        assert shown[slice(*span)] in LETTERS[slice(*was)]
    hidden = sum(start == end for start, end in spans)
    assert hidden == 80  # 120 steps of 100 characters, of which 40 are shown


def test_a_step_of_any_length_is_cut_with_its_text() -> None:
    shown, spans = in_part(LETTERS, [(0, len(LETTERS))], about=(0, len(LETTERS)))
    assert spans == [(0, len(shown))]
