"""`mel localize` as a user runs it: free localizers, a model that reads, one that scores, killed and begun again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from commands import mel

STORY = "start 50 1) finds 3 2) sorts 2 3) loses 5"
RIGHT = ["1) finds plus 3 = 53", "2) sorts same 2 = 53", "3) loses minus 5 = 48 answer 48"]
WRONG = {
    1: ["1) finds minus 3 = 47", "2) sorts same 2 = 47", "3) loses minus 5 = 42 answer 42"],
    2: ["1) finds plus 3 = 53", "2) sorts minus 2 = 51", "3) loses minus 5 = 46 answer 46"],
    3: ["1) finds plus 3 = 53", "2) sorts same 2 = 53", "3) loses same 5 = 53 answer 53"],
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty pairs, made of three by ids of their own, and one record without a step."""
    rows: list[dict[str, Any]] = [
        {
            "id": f"{n}-{copy}",
            "question": STORY,
            "incorrect_steps": wrong,
            "first_wrong": n - 1,
            "correct_steps": RIGHT,
        }
        for copy in range(20)
        for n, wrong in WRONG.items()
    ]
    rows.append({**rows[0], "id": "none", "incorrect_steps": []})
    path = tmp_path_factory.mktemp("data") / "stories.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


VLLM = pytest.param(
    "vllm", marks=pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed here: make test-vllm")
)


@pytest.fixture(scope="module", params=["transformers", VLLM])
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


def options(engine: str, out: Path) -> tuple[str, ...]:
    asked = ("--prompts", "story_counts", "--max-tokens", "44", "--batch-size", "4", "--engine", engine)
    return (*asked, "--output", str(out))


def scores(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["localizer"]: row for row in json.loads((folder / "localization.json").read_text())["scores"]}


@pytest.fixture(scope="module")
def asked(engine: str, pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("localize") / "critique"
    shown = mel("localize", "miniature:0", str(pairs), *options(engine, out))
    assert "60/60 responses" in shown
    assert "tokens generated" in shown
    return out


def test_what_a_model_names_is_scored_beside_the_free_localizers(asked: Path, engine: str) -> None:
    result, rows = json.loads((asked / "localization.json").read_text()), scores(asked)
    assert result["settings"]["engine"] == f"{engine} float32"
    assert result["skipped"] == {"no_steps": 1}
    assert sum(result["reasons"].values()) == rows["critique"]["wrong"] == 60
    assert 0 < result["tokens"] <= 60 * 44
    # One of three kinds is located by each constant; in templated steps the first difference is the first error.
    assert [rows[name]["exact"] for name in ("first_step", "last_step", "best_constant")] == [pytest.approx(1 / 3)] * 3
    assert rows["first_difference"]["exact"] == 1.0
    assert "| first_difference | 60 | 100.0 |" in (asked / "localization.md").read_text()


def test_a_killed_localization_ends_as_an_undisturbed_one(
    asked: Path, engine: str, pairs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "mel", "localize", "miniature:0", str(pairs), *options(engine, out)]
    responses = out / "responses.jsonl"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (responses.exists() and responses.read_bytes().count(b"\n") > 10):
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the localization ended before it could be killed"
    with responses.open("r+b") as file:  # a kill within a write leaves half a line
        file.truncate(responses.stat().st_size - 7)
    assert 0 < responses.read_bytes().count(b"\n") - 1 < 60
    assert not (out / "localization.json").exists()
    mel(*command[3:])
    assert scores(out) == scores(asked)
    ours, theirs = (json.loads((p / "localization.json").read_text()) for p in (out, asked))
    assert (ours["tokens"], ours["reasons"]) == (theirs["tokens"], theirs["reasons"])


def test_other_settings_are_not_mixed_into_what_is_there(asked: Path, engine: str, pairs: Path) -> None:
    changed = [*options(engine, asked)]
    changed[changed.index("44")] = "45"
    assert "max_tokens: there 44, asked 45" in mel("localize", "miniature:0", str(pairs), *changed, fails=True)


@pytest.mark.parametrize("localizer", ["likelihood", "least_likely"])
def test_log_probabilities_name_a_step_and_generate_nothing(localizer: str, pairs: Path, tmp_path: Path) -> None:
    asking = ("--localizer", localizer, "--prompts", "story_counts", "--count", "6", "--output", str(tmp_path))
    mel("localize", "miniature:0", str(pairs), *asking)
    result, row = json.loads((tmp_path / "localization.json").read_text()), scores(tmp_path)[localizer]
    assert (row["wrong"], row["named"], result["tokens"]) == (6, 1.0, 0)
    assert result["skipped"]["beyond_count"] == 54


def test_solutions_alone_are_asked_whether_any_step_is_wrong(tmp_path: Path) -> None:
    rows = [{"id": "a", "problem": STORY, "steps": WRONG[2], "label": 1}]
    rows.append({"id": "b", "problem": STORY, "steps": RIGHT, "label": -1})
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(rows))
    mel("localize", "miniature:0", str(path), "--max-tokens", "8", "--output", str(tmp_path / "out"))
    result = json.loads((tmp_path / "out" / "localization.json").read_text())
    assert result["settings"]["prompts"].startswith("critique, alone: math@")
    assert (result["scores"][0]["wrong"], result["scores"][0]["right"]) == (1, 1)
    assert [row["localizer"] for row in result["scores"]] == [
        "critique", "random", "first_step", "last_step", "best_constant",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--localizer", "critique"], "--localizer critique asks a model: mel localize MODEL DATA"),
        (["--localizer", "first_diference"], "did you mean 'first_difference'?"),
        (["--localizer", "monte_carlo"], "monte_carlo cannot be scored on data: it continues solutions"),
        (["--localizer", "novel_value", "--alone"], "compares with a right solution, and none is in view"),
        (["--max-tokens", "8"], "--max-tokens has no effect where no model is asked"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(words: list[str], said: str, pairs: Path) -> None:
    message = mel("localize", str(pairs), *words, fails=True)
    assert said in message
    assert message.count("\n") == 1


def test_a_free_localizer_takes_no_model_and_vllm_gives_no_log_probabilities(pairs: Path) -> None:
    assert "asks no model" in mel("localize", "miniature:0", str(pairs), "--localizer", "random", fails=True)
    words = ("--localizer", "likelihood", "--engine=vllm")
    assert "reads log-probabilities" in mel("localize", "miniature:0", str(pairs), *words, fails=True)
