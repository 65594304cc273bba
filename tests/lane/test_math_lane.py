"""`benchmarks.cpu_lane`, a whole mathematics run, on data made here: fit, train, kill -9, resume, evaluate."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.lane_difference import compared, difference
from mel.record import RunDirectory

ROOT = Path(__file__).parents[2]
SIZES = {"aime24": 30, "aime25": 30, "amc23": 40, "math500": 500, "olympiadbench": 675}
"""Rows that each benchmark publishes; `mel.tasks` refuses another number."""

NAMES = ("Ana", "Ben", "Chen", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivo", "Jun")
THINGS = ("apples", "books", "coins", "drums", "eggs", "flags", "gloves")
SMALL = ("--forms=recommended", "--problems=6", "--fit=120", "--steps=4", "--groups=3", "--rollouts=8", "--count=3",
         "--samples=1", "--max-tokens=64")  # fmt: skip


def sums(count: int) -> Iterator[dict[str, Any]]:
    """Word problems with their answers, no two alike."""
    for i in range(count):
        name, thing, first, second = NAMES[i % 10], THINGS[i % 7], 10 + i, 2 + i % 5
        question = f"{name} has {first} {thing} and finds {second} more. How many {thing} has {name}?"
        yield {"id": i, "problem": question, "answer": str(first + second)}


def lines(count: int) -> str:
    return "".join(json.dumps(row) + "\n" for row in sums(count))


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a small run of it left behind."""
    root = tmp_path_factory.mktemp("lane")
    for folder in ("train", "benchmarks"):
        (root / "data" / folder).mkdir(parents=True)
    (root / "data" / "train" / "dapo_math_17k.jsonl.gz").write_bytes(gzip.compress(lines(200).encode()))
    for name, size in SIZES.items():
        (root / "data" / "benchmarks" / f"{name}.jsonl").write_text(lines(size))
    command = [sys.executable, "-m", "benchmarks.cpu_lane", str(root / "data"), "--output", str(root / "out"), *SMALL]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    logs = "".join(path.read_text()[-2000:] for path in (root / "out").glob("*.log"))
    assert ended.returncode == 0, f"{ended.stdout}{ended.stderr[-2000:]}{logs}"
    return root / "out"


@pytest.fixture(scope="module")
def found(lane: Path) -> dict[str, Any]:
    return json.loads((lane / "lane.json").read_text())["forms"]["recommended"]


@pytest.mark.slow
def test_a_killed_and_resumed_run_equals_an_undisturbed_one(lane: Path, found: dict[str, Any]) -> None:
    assert found["processes"]["killed"]["code"] == -9
    assert {kind: of["differ"] for kind, of in found["compared"].items()} == {
        "weights": 0, "metrics": 0, "experiences": 0, "responses": 0,
    }  # fmt: skip
    assert found["compared"]["responses"]["things"] == len(SIZES) * 3 * (1 + 1)
    calm, killed = lane / "recommended-undisturbed", lane / "recommended-killed"
    assert (calm / "model/model.safetensors").read_bytes() == (killed / "model/model.safetensors").read_bytes()
    assert len(RunDirectory.open(killed).status.resumed_at) == 1
    assert RunDirectory.open(killed).status.state == "finished"


@pytest.mark.slow
def test_the_run_trains_rows_of_kept_experiences_and_rejects_others(found: dict[str, Any]) -> None:
    ledger = found["ledger"]
    assert ledger["groups_mixed"] > 0
    assert 0 < ledger["kept"] < ledger["replayed"] <= ledger["parsed"] <= ledger["candidates"]
    assert 0 < ledger["rows"] <= ledger["kept"]


@pytest.mark.slow
def test_one_changed_metric_and_one_changed_response_are_noticed(lane: Path, tmp_path: Path) -> None:
    calm = lane / "recommended-undisturbed"
    for name in (calm.name, f"{calm.name}-evaluation"):
        shutil.copytree(lane / name, tmp_path / name)
    metrics = tmp_path / calm.name / "metrics.jsonl"
    metrics.write_text(metrics.read_text().replace('"step": 2, "loss": ', '"step": 2, "loss": 1'))
    responses = next((tmp_path / f"{calm.name}-evaluation").glob("**/responses.jsonl"))
    *rest, last = responses.read_text().splitlines(keepends=True)
    responses.write_text("".join(rest) + last.replace('"text": "', '"text": "x'))
    changed = {kind: of["differ"] for kind, of in difference(calm, tmp_path / calm.name).items()}
    assert changed == {"weights": 0, "metrics": 1, "experiences": 0, "responses": 1}


def test_what_is_on_one_side_only_differs() -> None:
    assert compared({"a": 1, "b": 2}, {"a": 1}) == {"things": 2, "differ": 1, "first": "b"}
    assert compared({}, {"a": None}) == {"things": 1, "differ": 1, "first": "a"}
    assert compared({"a": 1}, {"a": 1}) == {"things": 1, "differ": 0, "first": ""}
