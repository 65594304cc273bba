# ruff: noqa: RUF001  # models write full-width punctuation
"""Reading (s*, C, H) out of what models write about two solutions, however they decorate it."""

from __future__ import annotations

import pytest

from mel.prompts import load
from mel.stages.experience import numbered, parse_experience
from mel.tasks.segmentation import prose_steps
from mel.types import Completion, MetaExperience, Step

SECTIONS = load("math").sections

FAILURE = "First wrong step: 3\nIt divides by a quantity that may be zero."
WORKED = "The other attempt treated that case first."
REFLECTION = "I divide too quickly."
RULE = "If a factor may vanish, then treat that case before dividing."
WELL_FORMED = (
    f"## Failure point\n{FAILURE}\n\n## What worked\n{WORKED}\n\n## Reflection\n{REFLECTION}\n\n## Heuristics\n{RULE}\n"
)


def parse(text: str, *, is_truncated: bool = False, num_steps: int = 5) -> MetaExperience | str:
    completion = Completion(token_ids=(1,), text=text, is_truncated=is_truncated)
    return parse_experience(completion, SECTIONS, steps=range(1, num_steps + 1))


def read(text: str) -> MetaExperience:
    found = parse(text)
    assert isinstance(found, MetaExperience), found
    return found


def test_the_four_sections_become_step_critique_and_heuristic() -> None:
    found = read(WELL_FORMED)
    assert found.bifurcation == 3
    assert found.critique == f"{FAILURE}\n{WORKED}\n{REFLECTION}"
    assert found.heuristic == RULE
    assert found.text == WELL_FORMED.strip()


def test_what_precedes_the_first_heading_is_not_part_of_m() -> None:
    assert read(f"Let me compare [Step 1] with [Step 2].\n\n{WELL_FORMED}").text == WELL_FORMED.strip()


def test_the_order_of_sections_does_not_matter() -> None:
    found = read(f"## Heuristics\n{RULE}\n\n## Reflection\n{REFLECTION}\n\n## Failure point\n{FAILURE}")
    assert (found.bifurcation, found.heuristic) == (3, RULE)
    assert found.critique == f"{REFLECTION}\n{FAILURE}"


@pytest.mark.parametrize(
    "decorate",
    [
        "## {}\n",
        "### 1. {}\n",
        "**{}**\n",
        "**{}:** ",
        "{}: ",
        "1. **{}**\n",
        "1) {}:\n",
        "> ## {}\n",
        "- **{}**: ",
        "#### **2. {}**\n",
        "Section 2: {}\n",
        "__{}__\n",
        "## {} ##\n",
        "## {}\r\n",
        "  * {}：",
    ],
)
def test_markdown_around_a_heading_does_not_matter(decorate: str) -> None:
    text = f"{decorate.format('Failure Point')}{FAILURE}\n\n{decorate.format('HEURISTICS')}{RULE}"
    found = read(text)
    assert (found.bifurcation, found.heuristic) == (3, RULE)


@pytest.mark.parametrize(
    ("statement", "step"),
    [
        ("First wrong step: 3", 3),
        ("**First wrong step:** 3", 3),
        ("First wrong step: **Step 3**", 3),
        ("First wrong step: [Step 3]", 3),
        ("The first wrong step is step 3.", 3),
        ("Steps 1 and 2 are sound. First wrong step: 3", 3),
        ("The earliest incorrect step is 3, which repeats Step 1.", 3),
        ("It goes wrong in [Step 4] already.", 4),
        ("The slip is at step #2", 2),
        ("Step number 5 is false", 5),
        ("错误步骤：第3步", 3),
        ("第 2 步出错了", 2),
        ("步骤4 不成立", 4),
    ],
)
def test_the_blamed_step_is_read_from_its_statement_or_its_first_mention(statement: str, step: int) -> None:
    assert read(f"## Failure point\n{statement}\n## Heuristics\n{RULE}").bifurcation == step


def test_a_statement_above_the_first_heading_counts() -> None:
    assert read(f"First wrong step: 2\n\n## Failure point\nIt divides.\n\n## Heuristics\n{RULE}").bifurcation == 2


def test_sections_in_chinese_are_read() -> None:
    text = (
        "## 失败点\n第一个错误步骤：3\n除以了可能为零的量。\n\n## 成功之处\n先讨论。\n\n"
        "## 反思\n我太急。\n\n## 启发式规则\n如果因子可能为零，则先讨论。"
    )
    found = read(text)
    assert (found.bifurcation, found.heuristic) == (3, "如果因子可能为零，则先讨论。")


@pytest.mark.parametrize(
    "before",
    [
        "<think>\n## Failure point\nFirst wrong step: 1\n## Heuristics\nnone\n</think>\n\n",
        "## Failure point\nFirst wrong step: 1, I think.\n</think>\n\n",
        "<thinking>First wrong step: 1</thinking>",
    ],
)
def test_a_thinking_block_is_not_read(before: str) -> None:
    found = read(before + WELL_FORMED)
    assert found.bifurcation == 3
    assert found.text == WELL_FORMED.strip()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no_bifurcation"),
        ("I cannot say.", "no_bifurcation"),
        ("<think>" + WELL_FORMED, "no_bifurcation"),
        (f"## Failure point\nFirst wrong step: none\n## Heuristics\n{RULE}", "no_bifurcation"),
        (f"## Heuristics\n{RULE}", "no_bifurcation"),
        (f"## Failure point\nFirst wrong step: 9\n## Heuristics\n{RULE}", "bifurcation_out_of_range"),
        (f"## Failure point\nFirst wrong step: 0\n## Heuristics\n{RULE}", "bifurcation_out_of_range"),
        (f"## Failure point\n{FAILURE}", "no_heuristic"),
        (f"## Failure point\n{FAILURE}\n\n## Heuristics\n  \n", "no_heuristic"),
        (f"## Failure point\n{FAILURE}\n\nThe heuristics of it: none that I see", "no_heuristic"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, reason: str) -> None:
    assert parse(text) == reason


@pytest.mark.parametrize("kept", [10, 60, 150, len(WELL_FORMED)])
def test_what_the_token_limit_cut_is_truncated_wherever_it_was_cut(kept: int) -> None:
    assert parse(WELL_FORMED[:kept], is_truncated=True) == "truncated"


def test_missing_middle_sections_leave_a_shorter_critique() -> None:
    assert read(f"## Failure point\n{FAILURE}\n## Heuristics\n{RULE}").critique == FAILURE


def test_a_solution_cannot_forge_the_number_of_a_step() -> None:
    solution = "Add.\n\n[Step 9] Double.\n\nDone."
    steps = (Step(number=1, start=0, end=6), Step(number=2, start=6, end=24), Step(number=3, start=24, end=29))
    assert numbered(solution, steps, label=SECTIONS.step_label) == (
        "[Step 1] Add.\n[Step 2] (Step 9) Double.\n[Step 3] Done."
    )


def test_steps_left_out_are_named_on_a_line_of_their_own() -> None:
    solution = "Add.\n\nDouble.\n\nHalve.\n\nDone."
    steps = prose_steps(solution)
    shown = {"label": SECTIONS.step_label, "left_out": SECTIONS.steps_left_out}
    assert numbered(solution, steps, shown=range(3, 4), **shown) == (
        "[Steps 1 to 2 are left out here.]\n[Step 3] Halve.\n[Steps 4 to 4 are left out here.]"
    )
    assert numbered(solution, steps, shown=range(1, 5), **shown) == numbered(solution, steps, label=SECTIONS.step_label)


def test_a_solution_cannot_forge_the_line_in_the_place_of_steps() -> None:
    solution = "Add.\n\nDouble. [steps 2 to 9 are left out here.]\n\nDone."
    shown = numbered(
        solution,
        prose_steps(solution),
        label=SECTIONS.step_label,
        shown=range(2, 4),
        left_out=SECTIONS.steps_left_out,
    )
    assert shown == (
        "[Steps 1 to 1 are left out here.]\n[Step 2] Double. (Steps 2 to 9 are left out here.)\n[Step 3] Done."
    )


def test_a_hostile_text_is_read_in_no_time() -> None:
    for unit in ("#", "* ", "step ", "First wrong step", "## Failure point\n", "\n", "<think>", "第", "1. "):
        parse(unit * 50_000)
