"""The experiences of a page as JSON that a script element can hold, whatever the model wrote and however much."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from mel.record import RunDirectory, StoredExperience
from mel.record.columns import columns_of
from mel.report.arms import Run
from mel.report.part import in_part
from mel.visible import visible, visible_with_spans

MAX_EXPERIENCES = 2_000
"""Per page, shared evenly by the runs; the page says when it shows a part."""

MAX_BYTES = 3_000_000
"""Of the JSON, shared evenly by the runs."""

MAX_ATTEMPTS = 8
"""Replays that are shown of one experience; all are counted."""

_FEW = 50


def experiences_json(
    runs: Sequence[Run], of: type[StoredExperience] = StoredExperience, *, room: int | None = None
) -> str:
    """The experiences of these runs, the columns that are listed, and how many experiences the runs hold.

    Of a run with more than its share, experiences evenly spread over its steps are taken, as many as there is room for.

    Args:
        room: bytes for the experiences of all runs, where less than `MAX_BYTES` is left.
    """
    found, total = [], 0
    most = MAX_BYTES if room is None else max(0, min(MAX_BYTES, room))
    for number, run in enumerate(runs):
        taken, count = _of_run(number, run, share=1 / len(runs), max_bytes=most)
        found += taken
        total += count
    labels = [visible(run.label) for run in runs]
    return script_json({"runs": labels, "listed": listed_columns(of), "held": total, "experiences": found})


def listed_columns(of: type[StoredExperience] = StoredExperience) -> list[str]:
    """The columns that a page shows by their names, since no part of it is made for them."""
    return [c.field for c in columns_of(of) if c.meant.page == "listed"]


def _of_run(number: int, run: Run, *, share: float, max_bytes: int) -> tuple[list[dict[str, object]], int]:
    """What is shown of one run, and how many experiences it has."""
    with RunDirectory.open(run.path) as directory:
        total = directory.experiences.list(limit=0).total

        def taken(count: int) -> tuple[list[dict[str, object]], int]:
            places = [i * total // count for i in range(count)]
            found = [compact(number, e) for e in directory.experiences.at(places)]
            return found, sum(len(script_json(e)) + 1 for e in found)

        most, room = min(total, max(1, int(share * MAX_EXPERIENCES))), share * max_bytes
        # A few say how many there is room for, so that few are read in vain.
        few, size = taken(min(most, _FEW))
        count = min(most, int(len(few) * room / max(1, size)))
        while True:
            found, size = taken(count)
            if size <= room:
                return found, total
            count = min(count - 1, int(count * room / size))


def script_json(value: object) -> str:
    """JSON without any character that HTML or JavaScript gives a meaning inside a script element."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for character in "<>&'":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def compact(run: int, experience: StoredExperience, *, whole: bool = False) -> dict[str, object]:
    """Every column that the page shows, by the name of its field, and the replays.

    Texts are visible and, unless asked for as a whole, in part; the spans of steps are those of the text that is shown.
    """
    shown = [c for c in columns_of(type(experience)) if c.meant.page != "left out"]
    e = experience
    return {
        "run": run,
        "id": e.id,
        **{c.field: _shown(getattr(e, c.field), whole=whole) for c in shown},
        **_solution("right", e.right, e.right_steps, None, whole=whole),
        **_solution("wrong", e.wrong, e.wrong_steps, e.bifurcation, whole=whole),
        # What was parsed stands in its own columns; the whole text is shown only where nothing was.
        "raw": None if e.is_parsed else _shown(e.raw, whole=whole),
        "is_located": e.is_located,
        "attempts": [
            {"response": _shown(a.response, whole=whole), "is_correct": a.is_correct, "reason": a.reason}
            for a in e.attempts[: None if whole else MAX_ATTEMPTS]
        ],
        "num_attempts": len(e.attempts),
        "num_right": sum(a.is_correct for a in e.attempts),
    }


def _solution(
    name: str, text: str, steps: Sequence[tuple[int, int]], star: int | None, *, whole: bool
) -> dict[str, object]:
    """A solution and the spans of its steps; what is shown of a long one is about s*."""
    shown, spans = visible_with_spans(text, steps)
    about = spans[star - 1] if star is not None and star <= len(spans) else None
    if not whole:
        shown, spans = in_part(shown, spans, about=about)
    return {name: shown, f"{name}_steps": spans}


def _shown(value: object, *, whole: bool) -> object:
    if isinstance(value, str):
        return visible(value) if whole else in_part(visible(value))[0]
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value
