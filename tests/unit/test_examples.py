"""The page that shows one step runs, and prints what follows from its numbers."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from math import log
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_one_step_shows_every_stage_from_groups_to_the_update() -> None:
    command = [sys.executable, str(ROOT / "examples" / "one_step.py")]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    # Rewards 1, 0, 0: mean 1/3, sample standard deviation 0.577; (1 - 1/3) / 0.577 = 1.155, (0 - 1/3) / 0.577 = -0.577.
    rollouts = [("right", "+1.15"), ("wrong", "-0.58"), ("wrong", "-0.58")]
    assert re.findall(r"a rollout: (\w+), advantage (\S+)", text) == rollouts
    stages = ["a rollout", "construct:", "First wrong step: 2", "replay:", "the experience is kept", "a row:", "lambda"]
    assert [stage for stage in stages if stage in text] == stages
    assert sorted(map(text.index, stages)) == list(map(text.index, stages))
    assert "[Step 2] Divide both sides by x" in text

    numbers = re.search(r"policy ([\d.]+), row ([\d.]+); so lambda = ([\d.]+)", text)
    assert numbers is not None
    policy, row, weight = map(float, numbers.groups())
    assert abs(weight - 3 * policy / row) < 0.01
    before, after = map(float, re.findall(r"([\d.]+) (?:before|after)", text))
    assert before == round(log(259), 3), "every one of 259 tokens is equally likely at first"
    assert after < before


def test_a_script_with_a_reward_function_of_its_own_makes_and_keeps_experiences() -> None:
    command = [sys.executable, "-W", "ignore", str(ROOT / "examples" / "own_reward.py"), "--steps", "1"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    line = re.search(r"step 1: .* written (\d+), readable (\d+), kept after replay (\d+)", text)
    assert line is not None
    written, readable, kept = map(int, line.groups())
    assert 0 < kept < readable <= written


def test_the_experience_of_the_readme_is_the_one_of_this_page() -> None:
    page = runpy.run_path(str(ROOT / "examples" / "one_step.py"))
    readme = (ROOT / "README.md").read_text()
    shown = " ".join(readme[readme.index("problem ") : readme.index("GRPO tells")].split())
    critique = page["EXPERIENCE"].split("\n")[2]
    heuristic = page["EXPERIENCE"].split("\n")[-1]
    steps = [step for text in ("RIGHT", "WRONG") for step in page[text].replace("\\boxed{", "").split("\n\n")]
    sentences = [page["PROBLEM"].text, critique, heuristic, *(step.rstrip("}") for step in steps)]
    assert [sentence for sentence in sentences if sentence not in shown] == []
