"""The table of experiences that trackers get, whoever they are."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from mel.record.tracked import sample, tracked_columns, tracked_row
from mel.types import Replayed

Make = Callable[..., Replayed]


def _with_replays(item: Replayed, replays: Sequence[tuple[str, bool]]) -> Replayed:
    (attempt,) = item.attempts
    made = [
        replace(
            attempt,
            completion=replace(attempt.completion, text=text),
            verdict=replace(attempt.verdict, is_correct=is_right),
        )
        for text, is_right in replays
    ]
    return replace(item, attempts=tuple(made))


def test_a_row_is_named_as_in_the_store_and_says_what_there_is(make_replayed: Make) -> None:
    row = tracked_row(7, make_replayed(reason="kept"))
    assert tuple(row) == tracked_columns()
    assert row == {
        "step": 7,
        "problem": "start 5 ; 1) sorts 2 ; 2) wins 3",
        "pass_rate": 0.5,
        "bifurcation": 1,
        "critique": "1) sorts not minus",
        "heuristic": "sorts means same",
        "is_kept": True,
        "reason": "kept",
        "replay": "sorts same",
    }
    unread = tracked_row(7, make_replayed(failure="no_heuristic"))
    assert [unread[name] for name in ("bifurcation", "critique", "heuristic", "replay")] == [None] * 4


@pytest.mark.parametrize(
    ("kept", "rejected", "count", "expected"),
    [
        (0, 0, 5, []),
        (10, 10, 5, ["k0", "k3", "k6", "r0", "r5"]),  # 3 of 10 at 0, 10/3, 20/3; 2 of 10 at 0, 5
        (10, 1, 5, ["k0", "k2", "k5", "k7", "r0"]),  # one rejected is all there is: 4 of 10 at 0, 2.5, 5, 7.5
        (1, 10, 5, ["k0", "r0", "r2", "r5", "r7"]),
        (2, 1, 5, ["k0", "k1", "r0"]),
        (2, 2, 1, ["k0"]),
    ],
)
def test_a_sample_holds_half_of_each_kind_where_there_are_enough(
    make_replayed: Make, kept: int, rejected: int, count: int, expected: list[str]
) -> None:
    pool = [replace(make_replayed(), is_kept=True, reason=f"k{i}") for i in range(kept)]
    pool += [replace(make_replayed(), is_kept=False, reason=f"r{i}") for i in range(rejected)]
    assert [r.reason for r in sample(pool, count)] == expected


def test_of_several_replays_a_right_one_is_shown(make_replayed: Make) -> None:
    assert tracked_row(7, _with_replays(make_replayed(), [("no", False), ("yes", True)]))["replay"] == "yes"
    assert tracked_row(7, _with_replays(make_replayed(), [("no", False), ("nor", False)]))["replay"] == "no"


def test_a_long_text_loses_its_middle_and_keeps_its_answer(make_replayed: Make) -> None:
    text = "begin " + "x" * 2000 + " answer 42"
    shown = str(tracked_row(1, _with_replays(make_replayed(), [(text, True)]))["replay"])
    assert shown.startswith("begin xx")
    assert shown.endswith("x answer 42")
    assert len(shown) == 500 + len(" [...] ")


def test_a_cell_hides_and_commands_nothing(make_replayed: Make) -> None:
    row = tracked_row(1, make_replayed(critique="4\u200b2 \x1b[2J", heuristic="\u202e24"))
    assert row["critique"] == "4<U+200B>2 <U+001B>[2J"
    assert row["heuristic"] == "<U+202E>24"
    assert tracked_row(1, _with_replays(make_replayed(), [("\ud83d", True)]))["replay"] == "<U+D83D>"
