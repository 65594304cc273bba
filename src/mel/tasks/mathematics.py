"""A task of mathematics over any data set: question in, marked final answer out, verified by Math-Verify."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mel.column_text import gold_text
from mel.tasks.account import Read, digest
from mel.tasks.columns import extractor, first_filled, question_text, value
from mel.tasks.loading import Place, RecordTask, Splits, published_by, splits_of
from mel.tasks.records import Record
from mel.tasks.segmentation import prose_steps
from mel.types import Problem, Step, Verdict
from mel.verify import BOXED, AnswerFormat, Limits, MathVerifier, shared_pool

if TYPE_CHECKING:
    from mel.verify import WorkerPool

_CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_ID_COLUMNS = ("id", "unique_id", "problem_idx")
LANGUAGES = ("all", "en", "zh")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where a task's records are and how they are read.

    Args:
        location: hub id or path; `{split}` in a path is replaced.
        splits: our split name -> the split's name at the source. A single local file serves the first one.
        question: columns that may hold the question; the first one present counts. A list of chat messages is
            read by its last user turn.
        answer: the same for the answer.
        extractor: what of that column is the gold: `text`, `boxed` (last box), `hashes` (after `####`), or a regular
            expression with one group, whose last match counts.
        published_records: split -> numbers of records that were published; checked at load. Empty: any count.
    """

    location: str
    config: str | None = None
    splits: Mapping[str, str] = field(default_factory=lambda: {"train": "train"})
    question: tuple[str, ...] = ("problem", "question", "prompt")
    answer: tuple[str, ...] = ("answer", "solution", "final_answer", "reward_model.ground_truth")
    extractor: str = "text"
    published_records: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """Where the records are, without how they are read."""
        return Place(
            location=self.location, config=self.config, splits=self.splits, published_records=self.published_records
        )


def no_metadata(_record: Mapping[str, Any]) -> dict[str, object]:
    """Nothing: the question and its answer are enough for most tasks."""
    return {}


def worked_solution(column: str) -> Callable[[Mapping[str, Any]], dict[str, object]]:
    """The worked solution in that column, under `solution`: hints can be made of it."""
    return lambda record: {"solution": record[column]}


@dataclass(frozen=True, kw_only=True, slots=True)
class Definition:
    """What a task's own file says about it; recipes say the rest (`build`).

    Args:
        is_deduplicated: train on repeated questions once, and not at all on questions with two golds. Off for
            benchmarks, whose published problems all count.
        metadata: what of a record goes into `Problem.metadata`; the verifier reads `unit`, `tolerance`, `has_parts`.
    """

    name: str
    source: Source
    answer_format: AnswerFormat = field(default_factory=AnswerFormat)
    is_deduplicated: bool = True
    metadata: Callable[[Mapping[str, Any]], dict[str, object]] = no_metadata


class MathTask(RecordTask):
    """Fills `mel.ports.Task` for problems whose answer Math-Verify can compare.

    Args:
        language: `all`, `en` (no Chinese character in the question) or `zh`.
        holdout: this many problems, chosen by hash of their text, form the split `validation` instead of `train`.
        pool: worker processes; by default those shared among all tasks with the same limits.
        is_benchmark: to evaluate on, see `as_benchmark`.
    """

    prompt_set = "math"

    def __init__(
        self,
        definition: Definition,
        *,
        language: str = "all",
        holdout: int = 0,
        pool: WorkerPool | None = None,
        is_benchmark: bool = False,
    ) -> None:
        if language not in LANGUAGES:
            raise ValueError(
                f"task {definition.name}: expected language to be one of {', '.join(LANGUAGES)}, got {language!r}"
            )
        self.name = definition.name
        self.source = definition.source
        self.verifier = MathVerifier(definition.answer_format, pool=pool)
        self._definition = definition
        self._extract = extractor(definition.source.extractor)
        self._language = language
        self._holdout = holdout
        # Both sides of a holdout come from the same problems, or a repeated one would be on both.
        is_deduplicated = definition.is_deduplicated and (not is_benchmark or holdout > 0)
        self._splits = Splits(
            definition.name,
            definition.source.place,
            read=self._read,
            refuses=self._refuses,
            is_deduplicated=is_deduplicated,
            holdout=holdout,
            advice="check the columns (`fields`) and the `extractor`",
        )

    def as_benchmark(self) -> MathTask:
        """The same task to evaluate on: every problem counts, also those whose question occurs more than once."""
        return MathTask(
            self._definition,
            language=self._language,
            holdout=self._holdout,
            pool=self.verifier.pool,
            is_benchmark=True,
        )

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        """One verdict per response, in order."""
        return self.verifier.verify(problems, responses)

    def stating(self, answer: str) -> str:
        """A response whose final answer is this one, marked as the task wants it."""
        marker = self.verifier.format.markers[0]
        return f"\\boxed{{{answer}}}" if marker == BOXED else f"{marker} {answer}"

    def steps(self, solution: str) -> tuple[Step, ...]:
        """Labelled steps, paragraphs, lines or sentences: see `segmentation.prose_steps`."""
        return prose_steps(solution)

    def metrics(self) -> dict[str, float]:
        """`verifier/<reason>` since the last call."""
        return self.verifier.metrics()

    def _refuses(self, problem: Problem) -> str:
        is_chinese = bool(_CHINESE.search(problem.text))
        return "language" if self._language != "all" and is_chinese != (self._language == "zh") else ""

    def _read(self, records: Sequence[Record]) -> list[Read]:
        """The problem of each record, or why it holds none."""
        question = self._column(records, self.source.question, "question")
        answer = self._column(records, self.source.answer, "answer")
        found: list[Read] = []
        for number, record in enumerate(records, 1):
            try:
                found.append(self._problem(record, question, answer))
            except ValueError as error:
                raise ValueError(f"task {self.name}: {self.source.location}, record {number}: {error}") from error
        return found

    def _problem(self, record: Record, question: str, answer: str) -> Read:
        text = question_text(value(record, question), question)
        gold = self._extract(gold_text(value(record, answer), answer))
        if not text or not gold:
            return "no_answer" if text else "no_question"
        given = next((str(record[key]) for key in _ID_COLUMNS if record.get(key) is not None), "")
        name = given if given.startswith(f"{self.name}-") else f"{self.name}-{given or digest(text)[:16]}"
        return Problem(id=name, text=text, answer=gold, metadata=self._definition.metadata(record))

    def _column(self, records: Sequence[Record], candidates: tuple[str, ...], what: str) -> str:
        """The first of the columns that any record fills: one for all, so that nothing stands in for a missing gold."""
        found = first_filled(records, candidates)
        if found is None:
            has = sorted({str(name) for record in records for name in record})
            raise ValueError(
                f"task {self.name}: expected the {what} in column {' or '.join(candidates)}; {self.source.location!r} "
                f"has {', '.join(has)}: set `fields: {{{what}: <column>}}`"
            )
        return found


def build(
    definition: Definition,
    *,
    source: str | None = None,
    config: str | None = None,
    fields: Mapping[str, str] | None = None,
    extractor: str | None = None,
    language: str = "all",
    holdout: int = 0,
    rows: int | str | None = None,
    timeout_s: float = 5.0,
    memory_mb: int = 2048,
    workers: int | None = None,
) -> MathTask:
    """The task as a recipe asks for it: the definition with its source, columns and limits replaced.

    Args:
        source: hub id or path instead of the definition's.
        fields: column names, `{"question": ..., "answer": ...}`.
        rows: row count to expect instead of the published one; `any` for no check.
        timeout_s, memory_mb, workers: `cpu_s`, `memory_mb` and `workers` of `mel.verify.Limits`.

    Raises:
        ValueError: an unknown key in `fields`, or a value that no task takes.
    """
    given = dict(fields or {})
    unknown = sorted(set(given) - {"question", "answer"})
    if unknown:
        raise ValueError(f"task {definition.name}: fields takes question and answer, got {', '.join(unknown)}")
    base = definition.source
    splits = splits_of(source, base.splits)
    replaced = replace(
        base,
        location=source or base.location,
        config=config if source or config else base.config,
        splits=splits,
        question=(given["question"],) if "question" in given else base.question,
        answer=(given["answer"],) if "answer" in given else base.answer,
        extractor=extractor or base.extractor,
        published_records=published_by(definition.name, rows, splits, base.published_records),
    )
    pool = shared_pool(Limits(cpu_s=timeout_s, memory_mb=memory_mb, workers=workers))
    return MathTask(replace(definition, source=replaced), language=language, holdout=holdout, pool=pool)
