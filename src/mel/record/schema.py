"""Tables of experiences.db, and how one candidate becomes its rows and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from mel.record.stored import StoredAttempt, StoredExperience
from mel.types import Attempt, Replayed, Step

APPLICATION_ID = 0x4D454C31
"""`MEL1`: what tells our file from any other SQLite database."""

SCHEMA_VERSION = 1

SCHEMA = """
CREATE TABLE experiences (
    id INTEGER PRIMARY KEY,
    step INTEGER NOT NULL, rank INTEGER NOT NULL, idx INTEGER NOT NULL,
    problem_id TEXT NOT NULL, problem TEXT NOT NULL, answer TEXT NOT NULL, pass_rate REAL NOT NULL,
    right_text TEXT NOT NULL, wrong_text TEXT NOT NULL,
    right_steps TEXT NOT NULL, wrong_steps TEXT NOT NULL,
    wrong_index INTEGER NOT NULL, wrong_reason TEXT NOT NULL,
    bifurcation INTEGER, critique TEXT, heuristic TEXT, experience TEXT,
    raw TEXT NOT NULL, num_tokens INTEGER NOT NULL,
    failure TEXT NOT NULL, states_answer INTEGER NOT NULL,
    reason TEXT NOT NULL, is_kept INTEGER NOT NULL, success_rate REAL,
    prefix_tokens INTEGER NOT NULL,
    first_error INTEGER, rule_truth INTEGER,
    UNIQUE (step, rank, idx)
);
CREATE INDEX by_kept ON experiences (is_kept, step);
CREATE INDEX by_reason ON experiences (reason, step);
CREATE INDEX by_problem ON experiences (problem_id, step);
CREATE TABLE attempts (
    experience_id INTEGER NOT NULL REFERENCES experiences (id) ON DELETE CASCADE, attempt INTEGER NOT NULL,
    response TEXT NOT NULL, continuation TEXT NOT NULL, num_tokens INTEGER NOT NULL,
    is_correct INTEGER NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL,
    PRIMARY KEY (experience_id, attempt)
) WITHOUT ROWID;
"""

COLUMNS = (
    "step", "rank", "idx", "problem_id", "problem", "answer", "pass_rate", "right_text", "wrong_text", "right_steps",
    "wrong_steps", "wrong_index", "wrong_reason", "bifurcation", "critique", "heuristic", "experience", "raw",
    "num_tokens", "failure", "states_answer", "reason", "is_kept", "success_rate", "prefix_tokens", "first_error",
    "rule_truth",
)  # fmt: skip

SEARCHED = ("problem", "right_text", "wrong_text", "raw")
"""Columns a text search looks into; `raw` holds critique, heuristic and everything unparsed."""

INSERT_EXPERIENCE = f"INSERT INTO experiences ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
INSERT_ATTEMPT = "INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


def to_row(
    key: tuple[int, int, int], replayed: Replayed, *, first_error: int | None, rule_truth: bool | None
) -> tuple[object, ...]:
    """The values of `COLUMNS` for one candidate; `key` is step, rank, index."""
    candidate, pair = replayed.candidate, replayed.candidate.pair
    experience = candidate.experience
    parsed = (
        (experience.bifurcation, _text(experience.critique), _text(experience.heuristic), _text(experience.text))
        if experience
        else (None, None, None, None)
    )
    return (
        *key,
        _text(pair.problem.id), _text(pair.problem.text), _text(pair.problem.answer), pair.group.pass_rate,
        _text(pair.right.text), _text(pair.wrong.text), _spans(pair.right_steps), _spans(pair.wrong_steps),
        pair.wrong_index, pair.wrong.verdict.reason,
        *parsed,
        _text(candidate.completion.text), len(candidate.completion.token_ids),
        candidate.failure, candidate.states_answer,
        replayed.reason, replayed.is_kept, replayed.success_rate if replayed.attempts else None,
        len(replayed.prefix_ids),
        first_error, rule_truth,
    )  # fmt: skip


def to_attempt_rows(experience_id: int | None, attempts: Sequence[Attempt]) -> list[tuple[object, ...]]:
    """One row of `attempts` per replay, in sampling order."""
    return [
        (
            experience_id, number, _text(a.response), _text(a.completion.text), len(a.completion.token_ids),
            a.verdict.is_correct, a.verdict.reason, _text(a.verdict.detail),
        )
        for number, a in enumerate(attempts)
    ]  # fmt: skip


def from_row(row: sqlite3.Row, attempts: Iterable[sqlite3.Row]) -> StoredExperience:
    """The value of a row of `experiences` with its rows of `attempts`."""
    values = {name: row[name] for name in row.keys()}  # noqa: SIM118 (a Row iterates over its values)
    truth = values.pop("rule_truth")
    return StoredExperience(
        index=values.pop("idx"),
        right=values.pop("right_text"),
        wrong=values.pop("wrong_text"),
        right_steps=tuple((a, b) for a, b in json.loads(values.pop("right_steps"))),
        wrong_steps=tuple((a, b) for a, b in json.loads(values.pop("wrong_steps"))),
        states_answer=bool(values.pop("states_answer")),
        is_kept=bool(values.pop("is_kept")),
        rule_truth=None if truth is None else bool(truth),
        attempts=tuple(
            StoredAttempt(
                response=a["response"],
                continuation=a["continuation"],
                num_tokens=a["num_tokens"],
                is_correct=bool(a["is_correct"]),
                reason=a["reason"],
                detail=a["detail"],
            )
            for a in attempts
        ),
        **values,
    )


def _spans(steps: Sequence[Step]) -> str:
    return json.dumps([[s.start, s.end] for s in steps])


def _text(text: str) -> str:
    """Text that UTF-8 can hold: a byte-level tokenizer can decode to half a surrogate pair, which SQLite refuses."""
    return text.encode("utf-8", "replace").decode("utf-8")
