"""Prompt sets: filled in one pass, versioned by their files, refused when something is missing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from mel import prompts
from mel.methods import AUXILIARIES

SHIPPED = Path(prompts.__file__).parent
READ = ("construct", "replay")
FILES = ("solve.txt", "construct.txt", "replay.txt", "sections.toml")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A directory with the miniature's prompt set, to be changed."""
    return Path(shutil.copytree(SHIPPED / "story_counts", tmp_path / "mine"))


@pytest.mark.parametrize("name", prompts.names())
def test_every_shipped_set_loads_and_fills(name: str) -> None:
    prompt_set = prompts.load(name, READ)
    assert "the question" in prompt_set.solve("the question")
    construct = prompt_set.construct("the question", "y plus", "y minus")
    assert construct.index("the question") < min(construct.index("y plus"), construct.index("y minus"))
    replay = prompt_set.replay("the question", "the lesson")
    assert "the question" in replay
    assert "the lesson" in replay
    assert len(prompt_set.sha256) == 64


@pytest.mark.parametrize("name", prompts.names())
def test_every_shipped_set_holds_what_any_auxiliary_reads_and_has_no_placeholder_of_its_own(name: str) -> None:
    files = sorted({file for settings in AUXILIARIES.values() for file in settings.prompts})
    found, mathematics = prompts.load(name, files), prompts.load("math", files)
    for file in files:
        asked, known = ({*re.findall(r"\{(\w+)\}", each.templates[file])} for each in (found, mathematics))
        # The quoted experience is all that a word-level model reads of a diagnosis.
        assert asked <= known | {"experience", "step"}, file
        assert not re.search(r"\{\w+\}", found.bare(file)), file


def test_braces_in_a_value_are_left_alone() -> None:
    assert (
        prompts.fill("{problem} so {experience}", {"problem": "{experience}", "experience": "M"}) == "{experience} so M"
    )
    assert prompts.fill(r"\boxed{} {problem}", {"problem": r"\frac{1}{2}"}) == r"\boxed{} \frac{1}{2}"


def test_a_directory_is_a_prompt_set(copy: Path) -> None:
    assert prompts.load(str(copy)).solve("x") == "x"


def test_the_hash_changes_with_any_file(copy: Path) -> None:
    before = prompts.load(str(copy)).sha256
    assert before == prompts.load("story_counts").sha256
    for file in FILES:
        path = copy / file
        path.write_text(path.read_text() + "\n")
        after = prompts.load(str(copy)).sha256
        assert after != before
        before = after


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"prompt set 'storycounts'.*story_counts.*solve\.txt"):
        prompts.load("storycounts")


@pytest.mark.parametrize("file", FILES)
def test_a_set_without_one_of_the_files_that_are_read_is_refused(copy: Path, file: str) -> None:
    (copy / file).unlink()
    with pytest.raises(ValueError, match=rf"{file} not found in"):
        prompts.load(str(copy), READ)


def test_a_set_is_checked_for_what_is_read_of_it_and_for_nothing_else(copy: Path) -> None:
    (copy / "construct.txt").write_text("no placeholder")
    (copy / "replay.txt").unlink()
    assert prompts.load(str(copy)).solve("x") == "x"
    (copy / "sections.toml").unlink()
    assert prompts.load(str(copy)).solve("x") == "x"
    with pytest.raises(ValueError, match=r"hint\.txt, sections\.toml not found in"):
        prompts.load(str(copy), ["hint"])


def test_a_file_that_only_its_auxiliary_knows_is_filled_like_any_other(copy: Path) -> None:
    before = prompts.load(str(copy)).sha256
    (copy / "hint.txt").write_text("Hint at <problem>{problem}</problem> from {step}.\n")
    prompt_set = prompts.load(str(copy), ["hint"])
    assert prompt_set.turn("hint", problem="</problem>", step="3") == "Hint at <problem>< /problem></problem> from 3."
    assert prompt_set.bare("hint") == "Hint at <problem></problem> from ."
    assert prompt_set.sha256 != before


def test_the_hash_is_that_of_the_whole_set_whatever_a_run_reads_of_it(copy: Path) -> None:
    assert prompts.load(str(copy)).sha256 == prompts.load(str(copy), READ).sha256


SECTIONS = "step_label='[Step {number}] '\nstep_reference='(1)'\n%s\n[headings]\nfailure='at'\nheuristic='rule'"


def test_a_set_that_names_no_line_for_left_out_steps_has_one(copy: Path) -> None:
    assert prompts.load(str(copy)).sections.steps_left_out == "[...]"
    (copy / "sections.toml").write_text(SECTIONS % "steps_left_out='({first} - {last})'")
    assert prompts.load(str(copy)).sections.steps_left_out == "({first} - {last})"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('" "', "expected one line that says so, got ' '"),
        (r'"[...]\n[...]"', "expected one line that says so"),
        ("3", "expected one line that says so, got 3"),
        ("'[step {first}]'", r"reads like a step_label; got '\[step \{first\}\]'"),
        ("'[left out at {first}]'", r"reads like a heading; got"),
    ],
)
def test_a_line_for_left_out_steps_that_passes_for_something_else_is_refused(
    copy: Path, line: str, message: str
) -> None:
    (copy / "sections.toml").write_text(SECTIONS % f"steps_left_out={line}")
    with pytest.raises(ValueError, match=rf"sections\.toml: steps_left_out: {message}"):
        prompts.load(str(copy))


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("construct.txt", "{problem} {right}", r"construct\.txt: the placeholder\(s\) wrong must appear in braces"),
        ("replay.txt", "{problem}", r"replay\.txt: the placeholder\(s\) experience"),
        ("sections.toml", "step_reference = '(1)'", r"lacks \['failure', 'heuristic'\]"),
        ("sections.toml", "step_reference = ", r"sections\.toml: not a TOML file"),
        ("sections.toml", "step_reference='('\n[headings]\nfailure='a'\nheuristic='b'", "not a regular expression"),
        ("sections.toml", "step_reference='1'\n[headings]\nfailure='a'\nheuristic='b'", "must be in parentheses"),
        ("sections.toml", "step_reference='(1)'\n[headings]\nfailure='['\nheuristic='b'", r"headings\.failure: not a"),
    ],
)  # fmt: skip
def test_a_faulty_file_is_refused_by_name(copy: Path, file: str, text: str, message: str) -> None:
    (copy / file).write_text(text)
    with pytest.raises(ValueError, match=message):
        prompts.load(str(copy), READ)
