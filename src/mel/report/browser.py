"""The experiences of a page as JSON that a script element can hold, whatever the model wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence

from mel.record import RunDirectory, StoredExperience
from mel.report.arms import Run

MAX_EXPERIENCES = 2000
"""Per page, shared evenly by the runs; the page says when it shows a part."""


def experiences_json(runs: Sequence[Run]) -> tuple[str, int, int]:
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
            found += [_compact(number, e) for e in directory.experiences.at(wanted)]
    return script_json({"runs": [r.label for r in runs], "experiences": found}), len(found), total


def script_json(value: object) -> str:
    """JSON without any character that HTML or JavaScript gives a meaning inside a script element."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for character in "<>&'":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _compact(run: int, e: StoredExperience) -> dict[str, object]:
    return {
        "run": run,
        "id": e.id,
        "step": e.step,
        "problemId": e.problem_id,
        "problem": e.problem,
        "answer": e.answer,
        "passRate": round(e.pass_rate, 4),
        "right": e.right,
        "wrong": e.wrong,
        "rightSteps": e.right_steps,
        "wrongSteps": e.wrong_steps,
        "star": e.bifurcation,
        "firstError": e.first_error,
        "critique": e.critique,
        "heuristic": e.heuristic,
        "ruleTruth": e.rule_truth,
        "raw": None if e.is_parsed else e.raw,
        "reason": e.reason,
        "kept": e.is_kept,
        "leak": e.states_answer,
        "attempts": [
            {"response": a.response, "right": a.is_correct, "reason": a.reason, "continued": e.prefix_tokens > 0}
            for a in e.attempts
        ],
    }
