"""Programs from the recipe to the page: trained, resumed and evaluated with a policy that knows two by heart."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from commands import mel

from benchmarks.sessions import differences, metrics_of, rollouts_of
from benchmarks.small_policy import CHATML, END, Fit, build_model, build_tokenizer
from mel import prompts
from mel.config import load_recipe
from mel.miniature.warmup import output_loss
from mel.prompts.chat import ChatTokenizer
from mel.record import RunDirectory
from mel.run import train
from mel.stages.experience import numbered
from mel.tasks.program_steps import program_steps
from mel.tasks.programming import as_response
from mel.verify.program_verifier import choose_sandbox

pytestmark = pytest.mark.slow

NEXT = {"id": "next", "prompt": "Read a number and print the next one.", "inputs": ["1"], "outputs": ["2"]}
DOUBLE = {
    "id": "double",
    "prompt": "Write double(x), which gives twice x.",
    "entry_point": "double",
    "tests": ["assert double(3) == 6", "assert double(0) == 0"],
}
PROGRAMS = {
    NEXT["prompt"]: ("n = int(input())\nprint(n + 1)", "n = int(input())\nprint(n + 2)"),
    DOUBLE["prompt"]: ("def double(x):\n    return 2 * x", "def double(x):\n    return x"),
}
"""The right and the wrong program of each problem; both go wrong at their second statement."""

NOTE = (
    "## Failure point\nFirst wrong step: 2\nThe number is not what was asked for.\n\n## What worked\nThe other program "
    "counted.\n\n## Reflection\nI hurry.\n\n## Heuristics\nIf a number is asked for, then read the question twice."
)
STEPS = 4


def lessons() -> Iterator[tuple[bool, str, str]]:
    """Whether it is about a note, a user turn, and the answer to learn."""
    of = prompts.load("code", ["construct", "replay"])
    for question, programs in PROGRAMS.items():
        right, wrong = map(as_response, programs)
        yield False, of.solve(question), right
        yield False, of.solve(question), wrong
        shown = [numbered(t, program_steps(t), label=of.sections.step_label) for t in (right, wrong)]
        yield True, of.construct(question, right=shown[0], wrong=shown[1]), NOTE
        yield True, of.replay(question, NOTE), right


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory, made in a few seconds."""
    texts = [text for _, turn, answer in lessons() for text in (turn, answer)]
    tokenizer, settings = build_tokenizer(texts * 9, 600), Fit(width=64, layers=2, steps=90)
    tokenizer.chat_template = CHATML
    model, chat = build_model(tokenizer, settings), ChatTokenizer(tokenizer)
    encoded = [
        (is_long, ([*(p := chat.chat([{"role": "user", "content": turn}])), *chat.encode(f"{answer}{END}")], len(p)))
        for is_long, turn, answer in lessons()
    ]
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr)
    for step in range(settings.steps):
        # Notes are long and soon known by heart.
        output_loss(model, [sequence for is_long, sequence in encoded if step % 3 == 0 or not is_long]).backward()
        optimizer.step()
        optimizer.zero_grad()
    path = tmp_path_factory.mktemp("policy")
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def recipe(policy: Path) -> Path:
    try:
        choose_sandbox()
    except ValueError as error:
        pytest.skip(str(error))
    source = policy / "programs.jsonl"
    source.write_text("".join(json.dumps(record) + "\n" for record in (NEXT, DOUBLE)))
    suite = {"name": "again", "split": "train", "k": 1, "temperature": 1.0, "max_tokens": 48}
    found = {
        "model": {"path": str(policy)},
        "task": {"name": "programs", "options": {"source": str(source), "workers": 1}},
        "carrier": "grpo",
        "auxiliaries": [{"name": "meta_experience", "settings": {"construct_max_tokens": 96}}],
        "trainer": {
            "use_cpu": True, "bf16": False, "max_steps": STEPS, "per_device_train_batch_size": 12,
            "num_generations": 6, "max_completion_length": 48, "learning_rate": 1e-4, "save_steps": 2,
        },
        "evaluation": {"suites": [suite], "before": False},
        "output": {"rollouts": True},
    }  # fmt: skip
    path = policy / "code.yaml"
    path.write_text(json.dumps(found))  # JSON is YAML
    return path


@pytest.fixture(scope="module")
def run(recipe: Path) -> Path:
    return train(load_recipe(str(recipe)), output=recipe.parent / "run")


def test_rollouts_of_programs_are_judged_each_with_its_reason(run: Path) -> None:
    found = rollouts_of(run)
    assert len(found) == STEPS * 12
    reasons = {row["reason"] for row in found}
    assert {"right", "wrong"} <= reasons
    details = {row["detail"] for row in found if row["reason"] == "wrong"}
    assert details & {"test 1: expected '2' in line 1, got '3'", "assert double(3) == 6; the program answered 3"}
    assert any(row["reward/groups_mixed"] > 0 for row in metrics_of(run))


def test_an_experience_of_code_names_a_statement_and_is_kept_when_the_program_passes(run: Path) -> None:
    kept = [item for item in RunDirectory.open(run).experiences.list().items if item.is_kept]
    assert kept
    assert {item.bifurcation for item in kept} <= {1, 2}, "each program has two statements"
    assert all((item.heuristic or "").startswith("If a number is asked for, then") for item in kept)
    assert "First wrong step: 2" in mel("experiences", "show", str(run), str(kept[0].id))


def test_a_run_on_programs_that_lost_its_last_checkpoint_ends_as_if_it_had_not(run: Path, recipe: Path) -> None:
    again = run.parent / "again"
    shutil.copytree(run, again)
    shutil.rmtree(again / "checkpoints" / f"checkpoint-{STEPS}")
    train(load_recipe(str(recipe)), output=again, resume=True)
    assert differences(run, again) == []


def test_a_trained_policy_is_evaluated_on_programs_by_name_and_shown_on_a_page(run: Path, tmp_path: Path) -> None:
    source = load_recipe(str(run / "recipe.yaml")).task.options["source"]
    table = mel("eval", str(run / "model"), "--benchmarks", f"programs={source}", "--k", "1", "--max-tokens", "48",
                "--output", str(tmp_path / "eval"))  # fmt: skip
    assert "programs" in table
    assert "4 responses" in table
    page = mel("report", str(run))
    assert "again" in page
