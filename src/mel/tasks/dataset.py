"""Any data set of questions with a comparable answer: a hub id or a local file, and a map of its columns."""

from __future__ import annotations

from collections.abc import Mapping

from mel.tasks.mathematics import Definition, MathTask, Source, build
from mel.verify import BOXED, AnswerFormat


def dataset(
    source: str,
    *,
    fields: Mapping[str, str] | None = None,
    extractor: str = "text",
    config: str | None = None,
    splits: Mapping[str, str] | None = None,
    markers: tuple[str, ...] = (BOXED,),
    label: str = "dataset",
    language: str = "all",
    holdout: int = 0,
    rows: int | str | None = None,
    timeout_s: float = 5.0,
    memory_mb: int = 2048,
    workers: int | None = None,
) -> MathTask:
    """A task over your own data.

    Args:
        source: hub id, file or directory; `{split}` in a path is replaced.
        fields: `{"question": <column>, "answer": <column>}`; the usual names are found without it.
        extractor: what of the answer column is the gold: `text`, `boxed`, `hashes` or a regular expression.
        splits: our split name -> the source's; `{"train": "train", "test": "test"}` by default.
        markers: how a response marks its answer: `boxed`, or literals such as `####`.
        label: prefix of the problem ids and name in the tables.
    """
    definition = Definition(
        name=label,
        source=Source(location=source, splits=dict(splits or {"train": "train", "test": "test"})),
        answer_format=AnswerFormat(markers=tuple(markers)),
    )
    return build(
        definition,
        source=source,
        config=config,
        fields=fields,
        extractor=extractor,
        language=language,
        holdout=holdout,
        rows=rows,
        timeout_s=timeout_s,
        memory_mb=memory_mb,
        workers=workers,
    )
