"""HumanEval (arXiv 2107.03374): 164 functions to complete from their signature and docstring."""

from __future__ import annotations

import ast
from typing import Any

from mel.column_text import plain_text
from mel.tasks.account import Read
from mel.tasks.loading import Place
from mel.tasks.programming import Definition, ProgramTask, Running, as_response, benchmark, takes_running
from mel.types import Problem
from mel.verify import FunctionTests, as_metadata

_ASK = "Complete this Python function. Give the whole program, its imports included.\n\n"


def read_record(record: dict[str, Any]) -> Read:
    """The problem of a record with the published columns.

    The tests see the helpers that stand before the function in the prompt, and so does a program, which need not repeat
    them. They run without the program: what they call is answered by it.
    """
    fields = ("prompt", "entry_point", "canonical_solution", "test")
    prompt, name, solution, test = (plain_text(record.get(field), field) for field in fields)
    if not prompt.strip() or not name.strip():
        return "no_question"
    if not test.strip():
        return "no_answer"
    tests = FunctionTests(
        tests=(test, f"check({name})"), names=(name,), setup=prompt + "\n    pass\n", preamble=before(prompt, name)
    )
    program = prompt + solution
    return Problem(
        id=f"humaneval-{str(record.get('task_id')).rpartition('/')[2]}",
        text=_ASK + as_response(prompt),
        answer=program,
        metadata={"tests": as_metadata(tests), "solution": as_response(program)},
    )


def before(prompt: str, name: str) -> str:
    """The statements of a prompt other than the function that is asked for: imports and helpers.

    Raises:
        ValueError: the prompt is no beginning of a program.
    """
    try:
        tree = ast.parse(prompt + "\n    pass\n")
    except SyntaxError as error:
        raise ValueError(f"expected a prompt that ends in a function's head, got {prompt[:80]!r}: {error}") from error
    kept = [node for node in tree.body if getattr(node, "name", None) != name]
    return ast.unparse(ast.Module(body=kept, type_ignores=[]))


DEFINITION = Definition(
    name="humaneval",
    place=Place(location="openai/openai_humaneval", splits={"test": "test"}, published_records={"test": (164,)}),
    read=read_record,
)


@takes_running
def humaneval(
    *,
    source: str | None = None,
    config: str | None = None,
    rows: int | str | None = None,
    running: Running,
) -> ProgramTask:
    """The benchmark, from the hub or a file.

    Args:
        source: hub id or path instead of the published one.
        rows: row count to expect instead of 164; `any` for no check.
        running: its fields are options of their own (`takes_running`).
    """
    return benchmark(DEFINITION, source=source, config=config, rows=rows, running=running)
