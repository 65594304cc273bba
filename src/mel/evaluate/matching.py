"""Which problem a response of somebody else answers: by its id, or else by the problem's text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mel.evaluate.readers import ID_COLUMNS, Given
from mel.types import Problem


def match(responses: Sequence[Given], problems: Sequence[Problem], source: Path) -> list[str]:
    """The id of the problem that each response answers.

    Ids count if all of a column's values are ids of problems. Else the texts do: that of the problem, or a prompt with
    the problem in it (the last one it holds: examples come before).

    Raises:
        ValueError: responses to other problems, problems without any, or an id that contradicts the text beside it.
    """
    texts, known = _Texts(problems), {p.id for p in problems}
    column = max(ID_COLUMNS, key=lambda name: sum(given.ids.get(name) in known for given in responses))
    ids = [given.ids[column] if given.ids.get(column) in known else None for given in responses]
    if all(ids):
        _check_agreement(responses, ids, texts, source)
        found = ids
    else:
        found = [texts.find(given.asked) or problem for given, problem in zip(responses, ids, strict=True)]
    unknown = [_name(given, column) for given, problem in zip(responses, found, strict=True) if problem is None]
    missing = sorted(known - set(found))
    if unknown or missing:
        raise ValueError(
            f"{source}: expected responses to each of the {len(problems)} problems and to no other; {len(missing)} "
            f"have none{_such_as(missing)}, {len(set(unknown))} ids are unknown{_such_as(unknown)}. Check the task, "
            "split and id field; a problem's text beside the response serves too"
        )
    return [problem for problem in found if problem is not None]


class _Texts:
    """The problems by their texts; those that ask the same take turns."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self._ids: dict[str, list[str]] = {}
        for problem in problems:
            self._ids.setdefault(_plain(problem.text), []).append(problem.id)
        self._given: Counter[str] = Counter()
        self._seen: dict[str, str | None] = {}

    def find(self, asked: Sequence[str]) -> str | None:
        """The id of the problem that these texts state; None if they state none."""
        plain = [_plain(text) for text in asked]
        text = next((text for text in plain if text in self._ids), None) or self._contained("\n".join(plain))
        if text is None:
            return None
        ids = self._ids[text]
        self._given[text] += 1
        return ids[(self._given[text] - 1) % len(ids)]

    def stated(self, asked: Sequence[str]) -> list[str]:
        """Ids of all problems that one of these texts is, word for word."""
        return [problem for text in asked for problem in self._ids.get(_plain(text), ())]

    def _contained(self, prompt: str) -> str | None:
        if prompt not in self._seen:
            ends = [(at + len(text), len(text), text) for text in self._ids if (at := prompt.rfind(text)) >= 0]
            self._seen[prompt] = max(ends)[2] if ends else None
        return self._seen[prompt]


def _name(given: Given, column: str) -> str:
    """What a message calls a response of which the problem is not known."""
    candidates = (given.ids.get(column), *given.ids.values(), *given.asked)
    return next(filter(None, candidates), given.where)


def _check_agreement(responses: Sequence[Given], found: Sequence[str | None], texts: _Texts, source: Path) -> None:
    for given, problem in zip(responses, found, strict=True):
        stated = texts.stated(given.asked)
        if stated and problem not in stated:
            raise ValueError(
                f"{source}, {given.where}: expected the problem {problem!r} that the id names; the text beside it is "
                f"that of {stated[0]!r}. Check the id field, or remove it to go by the text"
            )


def _plain(text: str) -> str:
    return " ".join(text.split())


def _such_as(names: Sequence[str]) -> str:
    return f" ({names[0][:80]!r})" if names else ""
