from __future__ import annotations

import gzip
import json
from itertools import pairwise
from pathlib import Path

import pytest

from mel.tasks.segmentation import prose_steps

DATA = Path(__file__).parents[4] / "shared" / "data"


def cut(solution: str) -> list[str]:
    steps = prose_steps(solution)
    assert [s.number for s in steps] == list(range(1, len(steps) + 1))
    assert all(a.end == b.start for a, b in pairwise(steps))
    assert not steps or steps[-1].end == len(solution)
    assert not steps or solution[: steps[0].start].strip() == ""
    return [solution[s.start : s.end] for s in steps]


def test_labels_are_the_steps_and_what_precedes_them_belongs_to_the_first() -> None:
    text = "Let us see.\n\n**Step 1: add**\n\n1 + 1 = 2\n\n**Step 2: double**\n\n2 * 2 = 4\n\nSo \\boxed{4}."
    assert cut(text) == [
        "Let us see.\n\n**Step 1: add**\n\n1 + 1 = 2\n\n",
        "**Step 2: double**\n\n2 * 2 = 4\n\nSo \\boxed{4}.",
    ]


def test_labels_in_chinese_are_labels() -> None:
    assert len(cut("步骤1: 加\n步骤2: 乘\n步骤3: 减")) == 3
    assert len(cut("第一步:加\n第二步:乘")) == 2


def test_paragraphs_are_steps_and_a_formula_stays_with_the_text_before_it() -> None:
    text = "First we add.\n\n\\[\n1 + 1 = 2\n\n\\]\n\nThen we double.\n\nSo it is 4."
    assert cut(text) == ["First we add.\n\n\\[\n1 + 1 = 2\n\n\\]\n\n", "Then we double.\n\n", "So it is 4."]


def test_lines_are_steps_where_there_are_no_paragraphs() -> None:
    assert cut("48/2 = 24\n48+24 = 72\n#### 72") == ["48/2 = 24\n", "48+24 = 72\n", "#### 72"]


def test_sentences_are_steps_of_a_single_line() -> None:
    text = "We have $a = 1.5. B$ here. Prof. X. says 3.14 is near. Therefore, the answer is $\\boxed{4}$."
    assert cut(text) == [
        "We have $a = 1.5. B$ here. ",
        "Prof. X. says 3.14 is near. ",
        "Therefore, the answer is $\\boxed{4}$.",
    ]


def test_sentences_end_with_chinese_stops_too() -> None:
    assert len(cut("先加一。再乘二。所以答案是4。")) == 3


@pytest.mark.parametrize(
    "block",
    ["$$a\n\nb$$", "\\[a\n\nb\\]", "\\begin{align*}a\n\nb\\end{align*}", "```\na\n\nb\n```", "[asy]\na;\n\nb;\n[/asy]"],
)
def test_a_block_is_never_cut(block: str) -> None:
    steps = cut(f"One.\n\nTwo {block} more.\n\nThree.")
    assert any(block in step for step in steps)


def test_a_block_that_is_never_closed_runs_to_the_end() -> None:
    assert cut("One.\n\nTwo.\n\n\\[ a\n\nb\n\nc") == ["One.\n\n", "Two.\n\n\\[ a\n\nb\n\nc"]


@pytest.mark.parametrize("text", ["", "  \n\n "])
def test_a_blank_solution_has_no_steps(text: str) -> None:
    assert prose_steps(text) == ()


def test_one_sentence_is_one_step_from_its_first_visible_character() -> None:
    steps = prose_steps("\n\n  It is \\boxed{4}.")
    assert [(s.start, s.end) for s in steps] == [(4, 20)]


def test_a_hundred_thousand_open_blocks_take_no_time() -> None:
    for unit in ("$$", "\\[ a. B ", "\\begin{a}", "a. B $", " \n \n x", "\n"):
        prose_steps("x" + unit * 50_000)


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the development data beside the checkout (../shared/data)")
def test_published_step_divisions_come_out_again() -> None:
    """ProcessBench's steps, joined by blank lines: at least 95 of 100 solutions are cut as published."""
    for name in ("gsm8k", "math"):
        rows = json.loads((DATA / f"bifurcation/processbench_{name}.json").read_text())
        same = sum([s.strip() for s in cut("\n\n".join(r["steps"]))] == [s.strip() for s in r["steps"]] for r in rows)
        assert same / len(rows) > 0.95


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the development data beside the checkout (../shared/data)")
def test_real_generations_are_covered_without_a_gap() -> None:
    with gzip.open(DATA / "verifier/labelled_generations.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in list(lines)[::10]:
            response = json.loads(line)["response"]
            assert "".join(cut(response)) == response.lstrip()
