"""MBPP (arXiv 2108.07732), its sanitized part by default: 427 functions to write from a sentence, with assertions.

Its splits are ranges of `task_id`, so that a published file, which holds all, serves the same splits as the hub.
"""

from __future__ import annotations

import ast
from typing import Any

from mel.column_text import plain_text
from mel.tasks.account import Read
from mel.tasks.loading import Place
from mel.tasks.programming import Definition, ProgramTask, Running, as_response, benchmark, called, takes_running
from mel.types import Problem
from mel.verify import FunctionTests, as_metadata

SPLITS = {"prompt": range(1, 11), "test": range(11, 511), "validation": range(511, 601), "train": range(601, 975)}
"""Split -> the `task_id`s that belong to it, as published."""


def split_of(record: dict[str, Any]) -> str:
    """The published split of a record; `train` for an id that was not published."""
    given = str(record.get("task_id"))
    return next((name for name, ids in SPLITS.items() if given.isdecimal() and int(given) in ids), "train")


def read_record(record: dict[str, Any], *, shown: int = 1) -> Read:
    """The problem of a record with the published columns.

    Args:
        shown: assertions that the problem shows, which say how the function is called; all of them judge.
    """
    text = plain_text(record.get("prompt") or record.get("text"), "prompt").strip()
    code = plain_text(record.get("code"), "code")
    asserted = [plain_text(test, "test_list") for test in record.get("test_list") or []]
    if not text:
        return "no_question"
    names = called(asserted, code)
    if not asserted or not names:
        return "no_answer"
    # The sanitized set has imports for its tests, the whole one code; one test uses what the reference program imports.
    given = [*map(str, record.get("test_imports") or []), str(record.get("test_setup_code") or ""), *imports(code)]
    tests = FunctionTests(tests=tuple(asserted), names=names, setup="\n".join(filter(None, given)))
    examples = "".join(f"\n\nFor example:\n\n{as_response(chr(10).join(asserted[:shown]))}" if shown else "")
    return Problem(
        id=f"mbpp-{record.get('task_id')}",
        text=f"{text}{examples or f' Call it {names[0]}.'}",
        answer=code,
        metadata={"tests": as_metadata(tests), "solution": as_response(code)},
    )


def imports(code: str) -> list[str]:
    """The imports at the top of a program that parses, as text."""
    return [ast.unparse(node) for node in ast.parse(code).body if isinstance(node, ast.Import | ast.ImportFrom)]


@takes_running
def mbpp(
    *,
    source: str | None = None,
    config: str | None = None,
    rows: int | str | None = None,
    shown_tests: int = 1,
    holdout: int = 0,
    running: Running,
) -> ProgramTask:
    """The problems, from the hub or a published file.

    Args:
        source: hub id or path instead of the hub's; a single file serves every split, by `task_id`.
        config: `sanitized` or `full` (974 problems) on the hub.
        rows: row count to expect; `any` for no check.
        shown_tests: assertions in the problem's text; all judge.
        holdout: so many problems of `train` become the split `validation`.
        running: its fields are options of their own (`takes_running`).
    """
    if shown_tests < 0:
        raise ValueError(f"task mbpp: expected shown_tests >= 0, got {shown_tests}")
    definition = Definition(
        name="mbpp",
        place=Place(
            location="google-research-datasets/mbpp",
            config="sanitized",
            splits={name: name for name in ("train", "test", "validation", "prompt")},
            # Of the sanitized part, and of the whole.
            published_records={"train": (120, 374), "test": (257, 500), "validation": (43, 90), "prompt": (7, 10)},
            split_of=split_of,
        ),
        read=lambda record: read_record(record, shown=shown_tests),
        is_deduplicated=True,
    )
    return benchmark(definition, source=source, config=config, holdout=holdout, rows=rows, running=running)
