"""Responses in the files that people have: plain rows, ours, and what lm-eval, lighteval and verl write.

Each reader turns a record into its responses and into what tells the problem: ids, and texts that state it.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mel.evaluate.responses import Kind
from mel.tasks.columns import question_text
from mel.tasks.files import read_file

Record = Mapping[str, Any]

ID_COLUMNS = ("problem_id", "id", "problem")
TEXT_COLUMNS = ("text", "response", "completion", "output")
_PROBLEM_COLUMNS = ("problem", "question", "prompt", "query", "input")


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """One response that somebody else generated.

    Args:
        where: its place in the file, for messages.
        ids: column -> what may be the problem's id.
        asked: texts that state the problem, or prompts that contain it.
    """

    where: str
    ids: Mapping[str, str]
    asked: tuple[str, ...]
    text: str
    kind: Kind


def read_given(path: Path) -> list[Given]:
    """Every response of a file, in order; its columns tell which program wrote it.

    Raises:
        ValueError: no such file, or a record that holds no response; the message names file and row.
    """
    records = read_file(path, unknown=".jsonl")
    if list(records[0][1]) == ["settings"]:  # the first line of our own files
        records = records[1:]
    first = records[0][1] if records else {}
    read = next((reader for columns, reader in _READERS if all(name in first for name in columns)), _plain)
    found: list[Given] = []
    for where, record in records:
        if read is _lm_eval and record.get("filter") != first.get("filter"):
            continue  # It repeats every response once per filter of the answers.
        try:
            found.extend(read(record, where))
        except (ValueError, TypeError, AttributeError, KeyError, SyntaxError) as error:
            raise ValueError(f"{path}, {where}: {error}") from error
    return found


def _plain(record: Record, where: str) -> Iterator[Given]:
    """A problem's id or text, and a response, under the usual names."""
    ids = {name: str(record[name]) for name in ID_COLUMNS if record.get(name) is not None}
    asked = tuple(_stated(record))
    named = [name for name in TEXT_COLUMNS if name in record]
    if not named or not (ids or asked):
        raise ValueError(
            f"expected a problem id ({_any_of(ID_COLUMNS)}) or the problem's text, and a text "
            f"({_any_of(TEXT_COLUMNS)}); got the keys {', '.join(map(str, record)) or 'none'}. Rename the fields"
        )
    if any(record[name] != record[named[0]] for name in named):
        raise ValueError(f"expected one response; {' and '.join(named)} differ: leave the one that is the response")
    text = record[named[0]]
    if not isinstance(text, str):
        raise ValueError(f"expected a text in {named[0]}; got {json.dumps(text, default=str)[:80]}. Write an empty one")
    yield Given(where=where, ids=ids, asked=asked, text=text, kind=_kind(record.get("kind")))


def _stated(record: Record) -> Iterator[str]:
    """What may be the problem's text; a column of another kind (tokens, say) tells nothing."""
    for name in _PROBLEM_COLUMNS:
        with suppress(ValueError):
            if text := question_text(record.get(name), name):
                yield text


def _lm_eval(record: Record, where: str) -> Iterator[Given]:
    """A line of `samples_*.jsonl`: the document, the arguments of the request, and all responses to it."""
    document, arguments = record["doc"], list(_strings(record.get("arguments")))
    responses = _texts(record["resps"], "resps")
    stated = tuple(_strings(document)) if isinstance(document, Mapping) else (str(document),)
    is_greedy = len(responses) == 1 and any(map(_decodes_greedily, _mappings(record.get("arguments"))))
    for text in responses:
        yield Given(
            where=where, ids={}, asked=(*stated, *arguments), text=text, kind="greedy" if is_greedy else "sampled"
        )


def _lighteval(record: Record, where: str) -> Iterator[Given]:
    """A row of `details_*.parquet`: the document and the model's response to it."""
    document, response = _unquoted(record["doc"]), _unquoted(record["model_response"])
    for text in _texts(response["text"], "model_response.text"):
        yield Given(where=where, ids={}, asked=(str(document["query"]),), text=text, kind="sampled")


def _older_lighteval(record: Record, where: str) -> Iterator[Given]:
    """The same as releases before 0.10 wrote it."""
    asked = tuple(str(record[name]) for name in ("example", "full_prompt") if record.get(name))
    for text in _texts(_unquoted(record["predictions"]), "predictions"):
        yield Given(where=where, ids={}, asked=asked, text=text, kind="sampled")


def _verl(record: Record, where: str) -> Iterator[Given]:
    """A line of a validation dump (`trainer.validation_data_dir`): prompt and response as decoded text."""
    for text in _texts([record["output"]], "output"):
        yield Given(where=where, ids={}, asked=(str(record["input"]),), text=text, kind="sampled")


_READERS = (
    (("doc", "resps"), _lm_eval),
    (("doc", "model_response"), _lighteval),
    (("predictions", "full_prompt"), _older_lighteval),
    (("input", "output", "step"), _verl),
)
"""Columns that only this program's files have -> their reader; the first that fits counts."""


def _kind(word: object) -> Kind:
    if word is None:
        return "sampled"
    kind = str(word).strip().lower()
    if kind == "greedy":
        return "greedy"
    if kind == "sampled":
        return "sampled"
    raise ValueError(f"expected the kind greedy or sampled; got {word!r}")


def _texts(found: Any, name: str) -> list[str]:
    """The texts of a list, however deeply it nests them."""
    flat = [item for part in found for item in (part if isinstance(part, list | tuple) else [part])]
    odd = next((item for item in flat if not isinstance(item, str)), None)
    if odd is not None or not flat:
        raise ValueError(f"expected generated text in {name}; got {str(found)[:80]}")
    return flat


def _strings(found: Any) -> Iterator[str]:
    """Every text within, also the messages of a conversation that is kept as JSON."""
    if isinstance(found, Mapping):
        found = list(found.values())
    if isinstance(found, str):
        yield found
        if found.startswith("[{"):
            yield from _strings(_from_json(found))
    elif isinstance(found, Sequence):
        for item in found:
            yield from _strings(item)


def _mappings(found: Any) -> Iterator[Mapping[str, Any]]:
    inside = list(found.values()) if isinstance(found, Mapping) else found
    if isinstance(found, Mapping):
        yield found
    if isinstance(inside, list | tuple):
        for item in inside:
            yield from _mappings(item)


def _decodes_greedily(options: Mapping[str, Any]) -> bool:
    return options.get("do_sample") is False or options.get("temperature") in (0, 0.0)


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _unquoted(found: Any) -> Any:
    """A value that was written as Python text because it did not fit a table."""
    return ast.literal_eval(found) if isinstance(found, str) else found


def _any_of(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
