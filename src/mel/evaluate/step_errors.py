"""Solutions in steps with the first wrong one labelled: data in ProcessBench's format, and pairs with a right solution.

ProcessBench (arXiv 2412.06559) has `problem`, `steps` and `label`, the 0-based position of the first wrong step or -1.
Pairs have `question`, `incorrect_steps`, `first_wrong` and `correct_steps`. Any mixture of these names is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mel.tasks.records import load_located
from mel.types import Group, Pair, Problem, Rollout, Step, TokenIds, Verdict

SEPARATOR = "\n\n"
"""Between two steps of a solution."""

NO_ERROR = 0
"""The number that stands for no wrong step; steps are numbered from 1, here as everywhere in mel."""

_PROBLEM = ("problem", "question")
_STEPS = ("steps", "incorrect_steps")
_LABEL = ("label", "first_wrong")
_RIGHT = "correct_steps"


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledSolution:
    """One record: a solution in steps, and which of them is the first that is wrong.

    Args:
        id: unique among those that were read together.
        said_id: its source and the id that the record itself gives, which those beside other right solutions share.
        source: what it is averaged with: the record's own `source`, else the name of the file or the split.
        first_wrong: its number, from 1; `NO_ERROR` if every step is right.
        right_steps: of a right solution to the same problem; empty if there is none.
        weight: 1 over the number of records that show this solution, each beside another right one.
    """

    id: str
    said_id: str
    source: str
    problem: str
    steps: tuple[str, ...]
    first_wrong: int
    right_steps: tuple[str, ...] = ()
    weight: float = 1.0

    @property
    def is_wrong(self) -> bool:
        return self.first_wrong != NO_ERROR

    @property
    def key(self) -> tuple[object, ...]:
        """What tells this solution from others, whichever right one stands beside it."""
        return self.said_id, self.steps


@dataclass(frozen=True, kw_only=True, slots=True)
class StepErrors:
    """What was read, and how many records were passed over, by reason."""

    solutions: tuple[LabelledSolution, ...]
    skipped: Mapping[str, int]

    def with_right(self) -> StepErrors:
        """Those that stand beside a right solution."""
        return self.only([one for one in self.solutions if one.right_steps], "no_right_solution")

    def alone(self) -> StepErrors:
        """The same without right solutions, each once."""
        once = {one.key: replace(one, right_steps=()) for one in reversed(self.solutions)}
        return self.only(list(reversed(once.values())), "same_solution")

    def only(self, solutions: Sequence[LabelledSolution], reason: str) -> StepErrors:
        """Those solutions alone, weighed anew; the others are counted under that reason."""
        lost = len(self.solutions) - len(solutions)
        skipped = {**self.skipped, reason: self.skipped.get(reason, 0) + lost} if lost else self.skipped
        return StepErrors(solutions=_weighed(solutions), skipped=skipped)


def load_step_errors(source: str, *, split: str = "test", config: str | None = None) -> StepErrors:
    """The labelled solutions of a hub id or of a local file.

    Records without a step, without a label or with a label beyond their steps, and those that say again what another
    says, are passed over and counted.

    Raises:
        ValueError: nothing there, a record that lacks a column or holds another type (named by file and line), or no
            record is left.
    """
    name = Path(source).name.split(".")[0] if Path(source).exists() else split
    skipped: Counter[str] = Counter()
    found: list[LabelledSolution] = []
    seen: set[tuple[object, ...]] = set()
    for where, record in load_located(source, split=split, config=config):
        one = _read(where, record, source, name)
        reason = one if isinstance(one, str) else _repeated(one, seen)
        if isinstance(one, str) or reason:
            skipped[reason] += 1
        else:
            found.append(one)
    if not found:
        raise ValueError(f"{source}: expected at least one solution with a labelled step; skipped {dict(skipped)}")
    return StepErrors(solutions=_weighed(_with_own_ids(found)), skipped=dict(skipped))


def _read(where: str, record: Mapping[str, Any], source: str, name: str) -> LabelledSolution | str:
    """The record as a value, or the reason why it is passed over."""
    at = f"{source}, {where}"
    problem = _column(record, _PROBLEM, at)
    steps, label = _texts(record, _STEPS, at), _column(record, _LABEL, at)
    right = _texts(record, (_RIGHT,), at) if record.get(_RIGHT) is not None else ()
    if not isinstance(problem, str):
        raise ValueError(f"{at}: expected the problem as text; got {problem!r:.60}")
    if not steps:
        return "no_steps"
    if label is None:
        return "no_label"
    if isinstance(label, bool) or not isinstance(label, int):
        raise ValueError(
            f"{at}: expected the label as a whole number, the 0-based position of the first wrong step or -1; got "
            f"{label!r:.60}"
        )
    if not -1 <= label < len(steps):
        return "label_beyond_steps"
    group = str(record.get("source") or name)
    said_id = f"{group}/{record.get('id', where)}"
    return LabelledSolution(
        id=said_id,
        said_id=said_id,
        source=group,
        problem=problem,
        steps=steps,
        first_wrong=label + 1,
        right_steps=right,
    )


def _column(record: Mapping[str, Any], names: Sequence[str], at: str) -> Any:
    """What stands under the first of these names."""
    for name in names:
        if name in record:
            return record[name]
    raise ValueError(
        f"{at}: expected a column {' or '.join(names)}; got {', '.join(map(str, record)) or 'none'}. Rename the columns"
    )


def _texts(record: Mapping[str, Any], names: Sequence[str], at: str) -> tuple[str, ...]:
    found = _column(record, names, at)
    if not isinstance(found, list | tuple) or not all(isinstance(step, str) for step in found):
        raise ValueError(f"{at}: expected a list of texts in {' or '.join(names)}; got {found!r:.60}")
    return tuple(found)


def _repeated(one: LabelledSolution, seen: set[tuple[object, ...]]) -> str:
    key = (*one.key, one.problem, one.right_steps)
    if key in seen:
        return "repeated"
    seen.add(key)
    return ""


def _with_own_ids(found: Sequence[LabelledSolution]) -> list[LabelledSolution]:
    """Ids that differ: with a number behind one that occurs again."""
    seen: Counter[str] = Counter()
    unique: list[LabelledSolution] = []
    for one in found:
        seen[one.said_id] += 1
        unique.append(one if seen[one.said_id] == 1 else replace(one, id=f"{one.said_id}#{seen[one.said_id]}"))
    return unique


def _weighed(found: Sequence[LabelledSolution]) -> tuple[LabelledSolution, ...]:
    shown = Counter(one.key for one in found)
    return tuple(replace(one, weight=1 / shown[one.key]) for one in found)


def pair_of(
    one: LabelledSolution, *, prompt_ids: TokenIds = (), token_ids: TokenIds = (), separator: str = SEPARATOR
) -> Pair:
    """The solution as y- beside the right one as y+, which has no step where there is none.

    Args:
        prompt_ids, token_ids: of the question and of the solution, for what asks for log-probabilities.
    """
    right, right_steps = joined(one.right_steps, separator)
    wrong, wrong_steps = joined(one.steps, separator)
    rollouts = (
        Rollout(token_ids=(), text=right, verdict=Verdict(is_correct=True, reason="right"), reward=1.0),
        Rollout(token_ids=token_ids, text=wrong, verdict=Verdict(is_correct=False, reason="wrong"), reward=0.0),
    )
    group = Group(problem=Problem(id=one.id, text=one.problem, answer=""), prompt_ids=prompt_ids, rollouts=rollouts)
    return Pair(
        group=group, right=rollouts[0], wrong=rollouts[1], wrong_index=1, right_steps=right_steps,
        wrong_steps=wrong_steps,
    )  # fmt: skip


def joined(texts: Sequence[str], separator: str = SEPARATOR) -> tuple[str, tuple[Step, ...]]:
    """The texts as one solution, and its steps, whose offsets leave out what separates them."""
    steps: list[Step] = []
    start = 0
    for number, text in enumerate(texts, 1):
        steps.append(Step(number=number, start=start, end=start + len(text)))
        start += len(text) + len(separator)
    return separator.join(texts), tuple(steps)
