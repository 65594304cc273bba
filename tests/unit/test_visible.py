import json

import pytest

from mel.report.plain import as_json
from mel.visible import escaped, visible, visible_with_spans

LINES = "a line\n\tand a tab"
PERSIAN = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"  # `I want`: a non-joiner between two letters
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
SSA = "\u0915\u094d\u200d\u0937"  # Devanagari, with a joiner
HEART = "\u2764\ufe0f\u200d\U0001f525"


@pytest.mark.parametrize(
    "text",
    [LINES, "x² ≤ √2", PERSIAN, FAMILY, HEART, "1\ufe0f\u20e3", "שלום 42", SSA],
)
def test_what_a_reader_sees_stays(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone\x07", "<U+001B>[2Jgone<U+0007>"),
        ("\x9b31m", "<U+009B>31m"),
        ("the answer is 41\rthe answer is 42", "the answer is 41<U+000D>the answer is 42"),
        ("user\u202egnp.exe", "user<U+202E>gnp.exe"),
        ("\u206642\u2069", "<U+2066>42<U+2069>"),
        ("4\u200b2", "4<U+200B>2"),
        ("4\u200d2", "4<U+200D>2"),
        ("\u0645\u200c\u200c\u062e", "\u0645<U+200C><U+200C>\u062e"),
        ("\u2764\ufe0f\ufe0f", "\u2764\ufe0f<U+FE0F>"),
        ("4\ufe0f2", "4<U+FE0F>2"),
        ("a\u00adb\ufeff\u2060\u3164", "a<U+00AD>b<U+FEFF><U+2060><U+3164>"),
        ("\U000e0041\U000e0042", "<U+E0041><U+E0042>"),
        ("one\u2028two", "one<U+2028>two"),
        ("half \ud83d of a pair", "half <U+D83D> of a pair"),
    ],
)
def test_what_commands_reorders_or_hides_is_marked(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(shown) == shown


def test_spans_stay_at_their_text() -> None:
    text = "\u202e1) a\u200bb 2) c\x1b"
    shown, spans = visible_with_spans(text, [(0, 7), (1, 7), (8, 13)])
    assert shown == visible(text)
    parts = ["<U+202E>1) a<U+200B>b", "1) a<U+200B>b", "2) c<U+001B>"]
    assert [shown[start:end] for start, end in spans] == parts


def test_json_escapes_what_it_does_not_show_and_loses_nothing() -> None:
    text = f"4\u200b2 \x9b\u202e \U000e0041 \ud83d {PERSIAN}\n"
    shown = as_json({"text": text})
    assert json.loads(shown)["text"] == text
    assert visible(shown) == shown
    assert PERSIAN in shown
    assert escaped("plain, x²") == "plain, x²"
