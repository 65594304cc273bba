"""responses.jsonl: every response of an evaluation with its verdict, appended as it comes."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from mel.types import Problem, TokenIds

RESPONSES = "responses.jsonl"

Kind = Literal["greedy", "sampled"]

AGAIN = "Delete the line to have that response generated again"


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """One response to one problem.

    Args:
        problem: the problem's id.
        sample: 0 for the greedy response; 0 to k-1 for the sampled ones.
        seconds: its share of the time its batch took to generate and verify.
    """

    problem: str
    kind: Kind
    sample: int
    text: str
    num_tokens: int
    is_truncated: bool
    is_correct: bool
    reason: str
    detail: str
    seconds: float

    @property
    def job(self) -> tuple[str, Kind, int]:
        return self.problem, self.kind, self.sample


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What an evaluation was asked to do; a file of responses belongs to exactly one of these.

    Args:
        model: what was evaluated, in words: a path or hub id.
        weights: a fingerprint of its weights, so that another model at the same path is another one; may be empty.
        k: sampled responses per problem; 0 for none.
        prompts: name and hash of the prompt set.
        problems: hash over ids, texts and answers in order.
        prompt_ids: hash over the tokens of all prompts, hence of tokenizer and chat template too.
        engine: what generated, in words.
        seed: of the sampled responses.
    """

    model: str
    weights: str
    k: int
    temperature: float
    top_p: float
    max_tokens: int
    prompts: str
    problems: str
    prompt_ids: str
    engine: str
    seed: int


class ResponseFile:
    """The file of one evaluation: its settings on the first line, one response per line after it."""

    def __init__(self, path: Path, settings: Settings) -> None:
        """Begin the file, or go on with the one that is there.

        Raises:
            ValueError: the file was made with other settings, or a line before the last one is damaged.
        """
        self.path = path
        if not path.exists() or not _whole_lines(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_line({"settings": asdict(settings)}), encoding="utf-8")
        else:
            _drop_half_line(path)
            _check_settings(path, settings)

    def read(self) -> list[Response]:
        """All whole responses in the file, each job once."""
        found: dict[tuple[str, Kind, int], Response] = {}
        for number, line in enumerate(_whole_lines(self.path)[1:], 2):
            response = _parse(line, self.path, number)
            found.setdefault(response.job, response)
        return list(found.values())

    def append(self, responses: Iterable[Response]) -> None:
        """Add responses and flush them."""
        text = "".join(_line(asdict(r)) for r in responses)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text)


def hash_problems(problems: Sequence[Problem]) -> str:
    """SHA-256 over the problems, in order."""
    text = json.dumps([[p.id, p.text, p.answer] for p in problems], ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_ids(prompts: Iterable[TokenIds]) -> str:
    """SHA-256 over the tokens of all prompts, in order."""
    return hashlib.sha256(json.dumps(list(prompts)).encode()).hexdigest()


def check_problems(problems: Sequence[Problem]) -> None:
    """Refuse an evaluation of nothing, or of two problems that share an id.

    Raises:
        ValueError: with what to check, or with the id.
    """
    if not problems:
        raise ValueError("evaluation: expected at least one problem; got none. Check the task's split and count")
    twice = [p for p, n in Counter(p.id for p in problems).items() if n > 1]
    if twice:
        raise ValueError(f"evaluation: expected every problem once; the id {twice[0]!r} occurs more often")


def _line(row: Mapping[str, object]) -> str:
    return json.dumps(row) + "\n"


def _whole_lines(path: Path) -> list[str]:
    # Half a last line can end within a character, so the split comes before the decoding.
    return [line.decode("utf-8") for line in path.read_bytes().split(b"\n")[:-1]]


def _drop_half_line(path: Path) -> None:
    """Cut what a kill left behind the last newline."""
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    if end != len(data):
        with path.open("r+b") as file:
            file.truncate(end)


def _check_settings(path: Path, settings: Settings) -> None:
    first = _json_object(_whole_lines(path)[0], path, 1).get("settings")
    if not isinstance(first, dict):
        raise ValueError(
            f"{path}: expected the settings of an evaluation on the first line. Choose another output directory"
        )
    expected = asdict(settings)
    changed = [k for k in expected if first.get(k) != expected[k]]
    if changed:
        what = "; ".join(f"{k}: there {first.get(k)!r}, asked {expected[k]!r}" for k in changed)
        raise ValueError(
            f"{path} holds responses of another evaluation ({what}). Ask for the same settings to continue it, or "
            f"choose another output directory"
        )


def _parse(line: str, path: Path, number: int) -> Response:
    row = _json_object(line, path, number)
    names = [f.name for f in fields(Response)]
    if sorted(row) != sorted(names):
        raise ValueError(
            f"{path}, line {number}: expected the fields {', '.join(names)}; got {', '.join(map(str, row))}. {AGAIN}"
        )
    return Response(**row)


def _json_object(line: str, path: Path, number: int) -> dict[str, Any]:
    """The object on a line of JSON.

    Raises:
        ValueError: it holds something else; the message names file and line.
    """
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise ValueError(f"{path}, line {number}: expected a JSON object; got {line[:80]!r}. {AGAIN}")
    return row
