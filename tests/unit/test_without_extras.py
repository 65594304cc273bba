"""Without extras mel answers in one line, and what is wrong with a path is said before torch is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from mel.config import load_recipe
from mel.miniature import policies
from mel.record import RunDirectory
from mel.run.doctor import EXTRAS, advice_about

PROGRAM = """
import contextlib, io, json, sys
for module in ("torch", "transformers", "peft", "trl", "datasets", "jinja2", "numpy"):
    sys.modules[module] = None  # importing it fails as where it is not installed
from mel.cli import main
said = []
for words in json.loads(sys.argv[1]):
    sys.argv = ["mel", *words]
    with contextlib.redirect_stderr(io.StringIO()) as errors, contextlib.redirect_stdout(io.StringIO()) as printed:
        with contextlib.suppress(SystemExit):
            main()
    said.append(errors.getvalue() or printed.getvalue())
print(json.dumps(said))
"""

POLICY = policies.path(0)
NO_SPLIT = "expected a split of train, validation, test; got 'tset'"
NO_MODEL = "got 'nowhere', which holds no config.json"
NO_TORCH = "mel: this needs the package torch, which is not installed: pip install -e '.[trl]' in the clone of mel"
REFUSED = {
    "train recommended": NO_TORCH,
    "eval miniature:0 --recipe recommended": NO_TORCH,
    "miniature probe": NO_TORCH,
    "train recommended --set model.path=nowhere": NO_MODEL,
    "eval nowhere --recipe recommended": NO_MODEL,
    "probe nowhere --recipe recommended": NO_MODEL,
    "tales warm-up nowhere --output new": NO_MODEL,
    "eval miniature:7 --recipe recommended": "no policy of world 7 is shipped",
    "eval miniature:0 --recipe recommended --chat-template none.jinja": "expected one of chatml, plain or a Jinja file",
    "eval miniature:0 --recipe recommended --output taken": "taken: expected a path that does not exist yet",
    "eval miniature:0 --benchmarks story_counts --temperature nan": "expected a number above 0 for the samples",
    "eval miniature:0 --recipe recommended --retrieve 2 --from none": "expected the experience store of a run",
    "probe miniature:0 --recipe recommended --output taken/file": "taken/file: expected a directory, got a file",
    "probe miniature:0 --recipe recommended --output taken/file/x": "a part of this path is a file and no directory",
    "probe miniature:0 --task story_counts --split tset": NO_SPLIT,
    "probe miniature:0 --task story_counts --set task.prompts=./asks": "replay.txt, sections.toml not found",
    "probe miniature:0 --task story_counts --seed -1": "Invalid value for '--seed'",
    "localize nowhere data.jsonl": NO_MODEL,
    "localize miniature:0 data.jsonl --prompts ./asks": "locate.txt, sections.toml not found",
    "localize miniature:0 data.jsonl --chat-template none.jinja": "expected one of chatml, plain or a Jinja file",
    "data check recommended --set task.split=tset": NO_SPLIT,
    "plan recommended --accelerate-config none": "expected a YAML file or one of",
    "experiences score run --model nowhere": NO_MODEL,
    "train taken": "expected a YAML file",
    "miniature probe nowhere": NO_MODEL,
    "miniature probe --world 9": "no policy of world 9 is shipped",
    "miniature build taken": "taken holds something: name a new directory",
    "miniature build new --steps 0": "Invalid value for '--steps'",
    "miniature build new --size xl": "'xl' is not one of 's', 'm', 'l'",
    "miniature build new --world -1": "Invalid value for '--world'",
    "miniature build new --task story_countz": "did you mean 'story_counts'",
    "miniature probe run --world -1": "Invalid value for '--world'",
    "merge nowhere --output new": "expected a directory with adapter_config.json (peft); nowhere holds none",
    "import none.gguf --output new": "expected a GGUF file, a wheel that holds one or an installed package",
    "import model.gguf --output taken": "taken holds something: name a new directory",
    "import model.gguf --output new --dtype float16": "'float16' is not one of 'float32', 'bfloat16'",
    f"tales warm-up {POLICY} --output new --device tpu": "'tpu' is not one of 'auto', 'cpu', 'cuda'",
    f"tales warm-up {POLICY} --output new --chat-template none.jinja": "expected one of chatml, plain or a Jinja file",
}
"""Command -> what its one line says."""
if find_spec("vllm") is None:
    REFUSED |= {
        f"{command} --engine vllm": "vLLM is not installed here"
        for command in (
            "eval miniature:0 --recipe recommended",
            "localize miniature:0 data.jsonl",
            "probe miniature:0 --task story_counts",
        )
    }


def test_every_refusal_is_one_line_and_needs_no_extra(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    (tmp_path / "asks").mkdir()
    (tmp_path / "asks" / "solve.txt").write_text("{problem}")
    (tmp_path / "data.jsonl").write_text(json.dumps({"problem": "start 5 1) finds 3", "steps": ["1) 9"], "label": 0}))
    RunDirectory.create(tmp_path / "run", load_recipe("recommended").resolved(), {})
    commands = [command.split() for command in REFUSED] + [["recipes", "paper"]]
    command = [sys.executable, "-c", PROGRAM, json.dumps(commands)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    *refusals, recipe = json.loads(ran.stdout)
    assert {said.count("\n") for said in refusals} == {1}
    assert {c: said for c, said in zip(REFUSED, refusals, strict=True) if REFUSED[c] not in said} == {}
    assert "meta_experience" in recipe, "a recipe can be read where only mel itself is installed"


@pytest.mark.parametrize(("module", "extra"), [("trl.trainer.grpo_config", "trl"), ("numpy", "trl"), ("gguf", "gguf")])
def test_a_missing_module_is_that_of_an_extra(module: str, extra: str) -> None:
    advice = advice_about(module)
    assert advice is not None
    assert f"pip install -e '.[{extra}]' in the clone of mel adds {EXTRAS[extra][1]}" in advice


def test_a_module_of_no_extra_is_a_fault_of_the_program() -> None:
    assert advice_about("mel.nothing") is None
