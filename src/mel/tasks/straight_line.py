"""Straight-line programs: a small language in which every step can be checked and every misconception has a name.

A program begins with four variables and assigns each further one once (``start a 50 b 3 c 2 d 4 1) e = a zam b 2) f =
e plo d``). It has no loop and no branch. Each of 30 made-up operators is one of five functions of a number and one from
1 to 4. A solution is a trace (``1) a 50 zam plus b 3 = e 53 ... answer 49``): it says what is read, what the operator
does and what is assigned. Its answer is the value of the last variable.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mel.tasks.small_world import Belief, SmallWorldTask, WorldKind

FIRST, SMALL = "a", ("b", "c", "d")
ASSIGNED = ("e", "f", "g", "h", "i", "j")
LARGEST = 4
"""Of the small variables. Six statements change the first variable by 48 at most, so that every number is in 0..100."""

_OPERATORS: Mapping[str, str] = {
    "plus": "zam horv binth culd merp osk",
    "minus": "plo drint vask ulm jeb norf",
    "keep": "gleth twib rusk omf saln perd",
    "rise": "kiv banf dulm wesp yatt corl",
    "fall": "frox lund hib sterp vok malt",
}
MEANINGS = tuple(_OPERATORS)
TRUE_MEANING: Mapping[str, str] = {name: meaning for meaning, names in _OPERATORS.items() for name in names.split()}

_FUNCTIONS: Mapping[str, Callable[[int, int], int]] = {
    "plus": lambda x, y: x + y,
    "minus": lambda x, y: x - y,
    "keep": lambda x, _: x,
    "rise": lambda x, y: x + 2 * y,
    "fall": lambda x, y: x - 2 * y,
}
_STATEMENT = re.compile(r"\d+\)\s+(\w)\s+=\s+(\w)\s+(\w+)\s+(\w)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """``e = a zam b``."""

    target: str
    left: str
    operator: str
    right: str

    @property
    def text(self) -> str:
        """The statement as the program has it."""
        return f"{self.target} = {self.left} {self.operator} {self.right}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """The numbers that are given to the first variables, and the statements."""

    given: tuple[int, ...]
    statements: tuple[Statement, ...]

    @property
    def text(self) -> str:
        """The problem as the policy sees it."""
        given = " ".join(f"{name} {number}" for name, number in zip((FIRST, *SMALL), self.given, strict=True))
        return f"start {given} " + " ".join(f"{i}) {s.text}" for i, s in enumerate(self.statements, 1))

    @property
    def concepts(self) -> tuple[str, ...]:
        """The operator of each statement."""
        return tuple(s.operator for s in self.statements)


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """One step of a trace: a statement with the numbers it reads, what its operator was taken for, and the result."""

    statement: Statement
    operands: tuple[int, int]
    meaning: str
    result: int

    @property
    def concept(self) -> str:
        """The operator."""
        return self.statement.operator

    @property
    def text(self) -> str:
        """``a 50 zam plus b 3 = e 53``: every variable stands before its value."""
        s, (x, y) = self.statement, self.operands
        return f"{s.left} {x} {s.operator} {self.meaning} {s.right} {y} = {s.target} {self.result}"

    @property
    def value(self) -> str:
        """The number that is assigned."""
        return str(self.result)


def _draw(rng: random.Random, length: int) -> Program:
    """A random program; each statement reads what the one before it assigned, so that none is dead."""
    statements, left = [], FIRST
    for target in ASSIGNED[:length]:
        operator = rng.choice(list(TRUE_MEANING))
        statements.append(Statement(target=target, left=left, operator=operator, right=rng.choice(SMALL)))
        left = target
    given = rng.randint(48, 52), *(rng.randint(1, LARGEST) for _ in SMALL)
    return Program(given=given, statements=tuple(statements))


def _parse(text: str) -> Program:
    """The program behind a problem's text."""
    names = ("target", "left", "operator", "right")
    statements = tuple(Statement(**dict(zip(names, m.groups(), strict=True))) for m in _STATEMENT.finditer(text))
    count = 1 + len(SMALL)
    numbers = text.split()[2 : 2 * count + 1 : 2]
    if statements and len(numbers) == count and all(n.isdecimal() for n in numbers):
        found = Program(given=tuple(map(int, numbers)), statements=statements)
        if found.text == " ".join(text.split()):
            return found
    raise ValueError(f"expected a program such as `start a 50 b 3 c 2 d 4 1) e = a zam b`; got {text!r}")


def _read(chain: Program, belief: Belief) -> tuple[Evaluation, ...]:
    """The trace of whoever takes the operators so."""
    values: dict[str, int] = dict(zip((FIRST, *SMALL), chain.given, strict=True))
    trace = []
    for i, statement in enumerate(chain.statements):
        operands = values[statement.left], values[statement.right]
        meaning = belief(statement.operator, i)
        result = values[statement.target] = _FUNCTIONS[meaning](*operands)
        trace.append(Evaluation(statement=statement, operands=operands, meaning=meaning, result=result))
    return tuple(trace)


PROGRAMS = WorldKind(
    name="straight_line",
    truth=TRUE_MEANING,
    meanings=MEANINGS,
    operations="assignments",
    max_length=len(ASSIGNED),
    words=(FIRST, *SMALL, *ASSIGNED),
    numbers=tuple(str(i) for i in range(101)),
    step=re.compile(r"(?P<number>\d+)\)\s+\w\s+\d+\s+(?P<concept>\w+)\s+(?P<meaning>\w+)\s+\w\s+\d+\s+=\s+\w\s+\d+\b"),
    form="k) variable number operator meaning variable number = variable number",
    step_words=10,
    value=r"\d+",
    draw=_draw,
    parse=_parse,
    read=_read,
)


def straight_line(
    *, world: int = 0, length: int = 4, misconceived: float = 0.25, train_size: int = 4096, test_size: int = 256
) -> SmallWorldTask:
    """The task over one world of straight-line programs; options as of `mel.tasks.small_world.SmallWorldTask`."""
    return SmallWorldTask(
        PROGRAMS, world=world, length=length, misconceived=misconceived, train_size=train_size, test_size=test_size
    )
