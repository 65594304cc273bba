"""Steps of a program: its statements at the top level and in the bodies of its functions."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from itertools import pairwise

from mel.types import Step
from mel.verify import last_code_block

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_MOST_TRIES = 40


def program_steps(solution: str) -> tuple[Step, ...]:
    """The numbered statements of the last block of code, with the text around it in the first and the last step.

    A step is a statement at the top level, or one in the body of a function or of a class; a loop or a condition is one
    step with all that is in it. The line of a `def` or `class` is a step together with its decorators and its
    docstring, so that what is wrong in a body is told from the signature. Steps begin at the beginning of a line:
    several statements on one line are one step. Of a program that breaks off or does not parse, what follows its last
    whole statement is one step. Empty for a response without a block of code.
    """
    block = last_code_block(solution)
    if block is None or not block.text.strip():
        return ()
    lines = block.text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    first = sorted({start for start in _begun(lines) if not block.text[starts[start] :].isspace()})
    cuts = [0, *(block.start + starts[line] for line in first[1:]), len(solution)]
    return tuple(Step(number=i, start=a, end=b) for i, (a, b) in enumerate(pairwise(cuts), 1))


def _begun(lines: list[str]) -> Iterator[int]:
    """Numbers, from 0, of the lines with which a step begins."""
    whole = len(lines)
    tree = _parsed("".join(lines))
    tries = 0
    while tree is None and whole > 0 and tries < _MOST_TRIES:
        whole, tries = whole - 1, tries + 1
        tree = _parsed("".join(lines[:whole]))
    if tree is None or not tree.body:
        yield from (i for i, line in enumerate(lines) if line.strip() and not line[0].isspace())
        return
    yield from (line - 1 for line in _statements(tree.body))
    if whole < len(lines):
        yield whole


def _parsed(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a policy's odd escapes
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _statements(body: list[ast.stmt]) -> Iterator[int]:
    """Line numbers, from 1, of the statements that are steps."""
    for node in body:
        is_definition = isinstance(node, (*_FUNCTIONS, ast.ClassDef))
        yield min((d.lineno for d in node.decorator_list), default=node.lineno) if is_definition else node.lineno
        if is_definition:
            inner = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
            yield from (line for line in _statements(inner) if line > node.lineno)
