"""Any data set of programming problems: calls of a function, or standard inputs with their outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mel.column_text import plain_text
from mel.tasks.account import Read, digest
from mel.tasks.columns import question_text, value
from mel.tasks.loading import Place
from mel.tasks.programming import Definition, ProgramTask, Running, as_response, benchmark, called, takes_running
from mel.types import Problem
from mel.verify import FunctionTests, StreamTests, as_metadata

_FIELDS = {
    "prompt": "prompt",
    "id": "id",
    "entry_point": "entry_point",
    "tests": "tests",
    "setup": "setup",
    "inputs": "inputs",
    "outputs": "outputs",
    "solution": "solution",
}


def read_record(record: Mapping[str, Any], fields: Mapping[str, str], label: str) -> Read:
    """The problem of a record whose columns these are.

    Raises:
        ValueError: tests of both kinds, as many inputs as outputs are not there, or tests that call nobody knows
            what.
    """

    def text(name: str) -> str:
        return plain_text(value(record, fields[name]), fields[name])

    question = question_text(value(record, fields["prompt"]), fields["prompt"])
    if not question:
        return "no_question"
    asserted = _several(value(record, fields["tests"]), fields["tests"])
    given, expected = (_several(value(record, fields[name]), fields[name]) for name in ("inputs", "outputs"))
    if asserted and (given or expected):
        raise ValueError(f"expected {fields['tests']} or {fields['inputs']} with {fields['outputs']}, got both")
    if len(given) != len(expected):
        raise ValueError(f"expected one output per input, got {len(given)} inputs and {len(expected)} outputs")
    if not asserted and not given:
        return "no_answer"
    solution = text("solution")
    if asserted:
        names = tuple(text("entry_point").split()) or called(asserted, solution)
        if not names:
            raise ValueError(
                f"expected the name of the function that the tests call in column {fields['entry_point']}, or a "
                f"program that defines it in column {fields['solution']}"
            )
        tests = FunctionTests(tests=asserted, names=names, setup=text("setup"))
    else:
        tests = StreamTests(inputs=given, outputs=expected)
    return Problem(
        id=f"{label}-{text('id') or digest(question)[:16]}",
        text=question,
        answer=solution or json.dumps(as_metadata(tests)),
        metadata={
            "tests": as_metadata(tests),
            **({"solution": as_response(solution)} if solution else {}),
        },
    )


def _several(raw: Any, field: str) -> tuple[str, ...]:
    """A column of several texts: a list, a list in JSON, or a single text."""
    if raw is None or raw == "":
        return ()
    if isinstance(raw, str) and raw.lstrip().startswith("["):
        try:
            raw = json.loads(raw)
        except ValueError:
            return (raw,)
    return tuple(plain_text(item, field) for item in ([raw] if isinstance(raw, str) else raw))


@takes_running
def programs(
    source: str,
    *,
    fields: Mapping[str, str] | None = None,
    config: str | None = None,
    splits: Mapping[str, str] | None = None,
    label: str = "programs",
    holdout: int = 0,
    rows: int | str | None = None,
    running: Running,
) -> ProgramTask:
    """A task over your own data.

    Args:
        source: hub id, file or directory; `{split}` in a path is replaced.
        fields: columns by what they hold: `prompt`, `id`, `solution`; `tests` (assertions, a text or several) with
            `entry_point` (the function that they call, or several; without it those that `solution` defines) and
            `setup`; or `inputs` with `outputs`. Dots reach into nested columns and into text in JSON; each is looked
            for under its own name by default.
        splits: our split name -> the source's; `{"train": "train", "test": "test"}` by default.
        label: prefix of the problem ids and name in the tables.
        holdout: so many problems of `train` become the split `validation`.
        running: its fields are options of their own (`takes_running`).
    """
    unknown = sorted(set(fields or {}) - set(_FIELDS))
    if unknown:
        raise ValueError(f"task {label}: fields takes {', '.join(_FIELDS)}; got {', '.join(unknown)}")
    columns = {**_FIELDS, **(fields or {})}
    definition = Definition(
        name=label,
        place=Place(location=source, splits=dict(splits or {"train": "train", "test": "test"})),
        read=lambda record: read_record(record, columns, label),
        is_deduplicated=True,
    )
    return benchmark(definition, source=source, config=config, holdout=holdout, rows=rows, running=running)
