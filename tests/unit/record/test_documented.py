"""docs/run_directory.md names everything that a run leaves behind."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from mel.evaluate.responses import Response
from mel.evaluate.result import EvaluationResult
from mel.record.run_directory import Status
from mel.record.schema import COLUMNS, SCHEMA

NAMED = set(re.findall(r"`([^`\n]+)`", (Path(__file__).parents[3] / "docs" / "run_directory.md").read_text()))


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_of_an_experience_is_documented(column: str) -> None:
    assert column in NAMED


def test_every_column_of_an_attempt_is_documented() -> None:
    table = SCHEMA.split("CREATE TABLE attempts")[1]
    columns = re.findall(r"(\w+) (?:INTEGER|TEXT) NOT NULL", table)
    assert len(columns) == 8
    assert set(columns) <= NAMED


@pytest.mark.parametrize("kind", [Response, EvaluationResult, Status])
def test_every_field_of_a_written_value_is_documented(kind: type) -> None:
    assert {f.name for f in fields(kind)} <= NAMED
