"""An auxiliary written elsewhere goes through `mel plan`, `mel train` and `mel report`: nothing in mel names one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from mel.miniature.tokenizer import build_tokenizer

SCRIPT = Path(__file__).with_name("foreign.py")
LAUNCHER = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
STEPS, GROUPS = 3, 2

RECIPE = """
extends: grpo
model: {{path: {model}}}
auxiliaries:
  - {{name: retell, settings: {{max_tokens: 5}}, weight: {{kind: constant, lambda: 0.5}}}}
trainer: {{max_steps: {steps}, per_device_train_batch_size: {size}, num_generations: 4, max_completion_length: 6}}
evaluation:
  every: null
  suites: [{{name: L5, count: 4, k: 0, max_tokens: 6}}]
"""


def mel(*arguments: object, ranks: int = 1) -> str:
    """What that command prints to standard output, with the auxiliary registered first."""
    command = [sys.executable, *(LAUNCHER if ranks > 1 else []), SCRIPT, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return done.stdout


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights and the miniature's tokenizer, as `from_pretrained` finds them."""
    folder, tokenizer = tmp_path_factory.mktemp("model"), build_tokenizer()
    tokenizer.save_pretrained(folder)
    tiny.model(vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id).save_pretrained(folder)
    return folder


def recipe(folder: Path, model: Path, ranks: int) -> Path:
    path = folder / "told.yaml"
    path.write_text(RECIPE.format(model=model, steps=STEPS, size=4 * GROUPS // ranks))
    return path


def test_a_plan_counts_its_phase_and_checks_its_lengths(tmp_path: Path, model: Path) -> None:
    told = recipe(tmp_path, model, 1)
    found = json.loads(mel("plan", told, "--gpus", 1, "--json"))
    (phase,) = [one for one in found["plan"]["longest"] if one["phase"] == "tell"]
    assert phase["completion"] == 5
    assert found["plan"]["tokens"]["generated"]["tell"] == GROUPS * 5


@pytest.mark.parametrize("ranks", [1, 2])
def test_it_is_trained_counted_and_reported(tmp_path: Path, model: Path, ranks: int) -> None:
    run = tmp_path / "run"
    mel("train", recipe(tmp_path, model, ranks), "--output", run, ranks=ranks)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "tokens/tell" in line]
    assert [line["step"] for line in steps] == [1, 2, 3]
    for line in steps:
        assert line["retell/told"] == line["rows/real"] == GROUPS
        assert GROUPS <= line["tokens/tell"] <= GROUPS * 5
        assert line["tokens/rows"] == line["tokens/tell"]
        assert line["retell/finished_rate"] == line["retell/finished"] / GROUPS
        assert line["objective/lambda"] == 0.5
    generated = sum(line["tokens/rollout"] + line["tokens/tell"] for line in steps)
    assert steps[-1]["tokens/generated"] == generated > sum(line["tokens/rollout"] for line in steps)
    mel("report", run)
    assert re.search(r">\s*Tell\s*<", (run / "report.html").read_text()), "its tokens have a line among the costs"


def test_a_wrong_setting_of_it_is_refused_by_name(tmp_path: Path, model: Path) -> None:
    with pytest.raises(AssertionError, match=r"retell.max_tokens: expected a whole number of at least 1, got 0"):
        mel("plan", recipe(tmp_path, model, 1), "--set", "auxiliaries.0.settings.max_tokens=0")
