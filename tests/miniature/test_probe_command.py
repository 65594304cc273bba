"""`mel probe` as a user gives it, on the shipped policy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mel.cli import app

FEW = ["--problems", "6", "--samples", "4", "--split", "test"]


def test_a_probe_prints_its_figures_and_writes_them(tmp_path: Path) -> None:
    command = ["probe", "miniature:0", "--recipe", "recommended", *FEW, "--output", str(tmp_path / "probe")]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "probe" / "probe.json").read_text())
    assert (found["problems"], found["samples"], found["engine"]) == (6, 4, "transformers float32")
    assert found["tokens"] > 6 * 4 * 30
    assert found["answer"] in ("yes", "no", "unclear")
    assert "solved_greedy" in done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected --task NAME or --recipe FILE, one of the two"),
        (["--recipe", "recommended", "--split", "exam"], "expected a split of train, validation, test; got 'exam'"),
        (["--task", "story_countz"], "did you mean 'story_counts'"),
    ],
)
def test_what_cannot_be_probed_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CliRunner().invoke(app, ["probe", "miniature:0", *words], catch_exceptions=False)
