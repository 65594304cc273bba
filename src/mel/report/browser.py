"""The experiences of a page as JSON that a script element can hold, whatever the model wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence

from mel.record import RunDirectory, StoredExperience
from mel.record.columns import columns_of
from mel.report.arms import Run

MAX_EXPERIENCES = 2000
"""Per page, shared evenly by the runs; the page says when it shows a part."""


def experiences_json(runs: Sequence[Run], of: type[StoredExperience] = StoredExperience) -> tuple[str, int, int]:
    """The JSON, how many experiences it holds, and how many the runs hold.

    Of a run with more than its share, experiences evenly spread over its steps are taken.
    """
    share = max(1, MAX_EXPERIENCES // max(1, len(runs)))
    found, total = [], 0
    for number, run in enumerate(runs):
        with RunDirectory.open(run.path) as directory:
            count = directory.experiences.list(limit=0).total
            total += count
            stride = max(1.0, count / share)
            wanted = [int(i * stride) for i in range(min(count, share))]
            found += [compact(number, e) for e in directory.experiences.at(wanted)]
    listed = [c.field for c in columns_of(of) if c.meant.page == "listed"]
    return script_json({"runs": [r.label for r in runs], "listed": listed, "experiences": found}), len(found), total


def script_json(value: object) -> str:
    """JSON without any character that HTML or JavaScript gives a meaning inside a script element."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for character in "<>&'":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def compact(run: int, experience: StoredExperience) -> dict[str, object]:
    """Every column that the page shows, by the name of its field, and the replays."""
    shown = [c for c in columns_of(type(experience)) if c.meant.page != "left out"]
    return {
        "run": run,
        "id": experience.id,
        **{c.field: _rounded(getattr(experience, c.field)) for c in shown},
        # What was parsed stands in its own columns; the whole text is shown only where nothing was.
        "raw": None if experience.is_parsed else experience.raw,
        "is_located": experience.is_located,
        "attempts": [
            {"response": a.response, "is_correct": a.is_correct, "reason": a.reason} for a in experience.attempts
        ],
    }


def _rounded(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value
