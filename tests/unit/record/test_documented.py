"""docs/run_directory.md names everything that a run leaves behind."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from mel.evaluate.responses import Response
from mel.evaluate.result import EvaluationResult
from mel.methods import AUXILIARIES, AuxiliarySettings
from mel.record.columns import columns_of
from mel.record.experience import StoredAttempt, StoredExperience
from mel.record.provenance import environment
from mel.record.rollouts import COLUMNS
from mel.record.run_directory import Status
from mel.record.store import ATTEMPT_KEYS
from mel.record.tracked import tracked_columns

NAMED = set(re.findall(r"`([^`\n]+)`", (Path(__file__).parents[3] / "docs" / "run_directory.md").read_text()))


@pytest.mark.parametrize("column", ["id", *(c.name for c in columns_of(StoredExperience))])
def test_every_column_of_an_experience_is_documented(column: str) -> None:
    assert column in NAMED


def test_every_column_of_an_attempt_is_documented() -> None:
    columns = {*ATTEMPT_KEYS, *(c.name for c in columns_of(StoredAttempt))}
    assert len(columns) == 8
    assert columns <= NAMED


def test_every_column_of_the_trackers_table_and_every_key_of_the_environment_is_documented() -> None:
    assert {*tracked_columns()} <= NAMED
    assert {*environment(processes=1, seed=0, recipe_sha256="", prompts={}, model="")} <= NAMED


@pytest.mark.parametrize("settings", AUXILIARIES.values(), ids=AUXILIARIES)
def test_every_rate_of_an_auxiliary_is_documented(settings: type[AuxiliarySettings]) -> None:
    missing = {rate for rate in settings.rates if not {f"{settings.prefix()}/{rate}", f"<auxiliary>/{rate}"} & NAMED}
    assert missing == set()


@pytest.mark.parametrize("kind", [Response, EvaluationResult, Status])
def test_every_field_of_a_written_value_is_documented(kind: type) -> None:
    assert {f.name for f in fields(kind)} <= NAMED


def test_every_column_of_the_rollouts_is_documented() -> None:
    assert {*COLUMNS} <= NAMED
