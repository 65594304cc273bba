"""A task of mathematics over any data set: question in, marked final answer out, verified by Math-Verify."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mel.tasks.columns import extractor, first_present, gold_text, question_text, value
from mel.tasks.records import is_single_file, load_records
from mel.tasks.segmentation import prose_steps
from mel.types import Problem, Step, Verdict
from mel.verify import AnswerFormat, Limits, MathVerifier, shared_pool

if TYPE_CHECKING:
    from mel.verify import WorkerPool

_CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_ID_COLUMNS = ("id", "unique_id", "problem_idx")
LANGUAGES = ("all", "en", "zh")
VALIDATION = "validation"


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """The problems of a split with the account of what was left out.

    Args:
        records: at the source.
        unique: different questions among the records that have a question and an answer (white space does not count).
        conflicts: questions with more than one gold.
        dropped: records by reason: `no_question`, `no_answer`, `duplicate`, `conflicting_gold`, `language`;
            `records - sum(dropped)` problems are left.
    """

    problems: tuple[Problem, ...]
    records: int
    unique: int
    conflicts: int
    dropped: Mapping[str, int]


def no_metadata(_record: Mapping[str, Any]) -> dict[str, object]:
    """Nothing: the question and its answer are enough for most tasks."""
    return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Definition:
    """What a task's own file says about it; recipes say the rest (`build`).

    Args:
        is_deduplicated: repeated questions once, questions with two golds not at all. Off for benchmarks,
            whose published problems all count.
        metadata: what of a record goes into `Problem.metadata`; the verifier reads `unit`, `tolerance`, `has_parts`.
    """

    name: str
    source: Source
    answer_format: AnswerFormat = field(default_factory=AnswerFormat)
    is_deduplicated: bool = True
    metadata: Callable[[Mapping[str, Any]], dict[str, object]] = no_metadata


class MathTask:
    """Fills `mel.ports.Task` for problems whose answer Math-Verify can compare.

    Args:
        language: `all`, `en` (no Chinese character in the question) or `zh`.
        holdout: this many problems, chosen by hash of their text, form the split `validation` instead of `train`.
        pool: worker processes; by default those shared among all tasks with the same limits.
    """

    prompt_set = "math"

    def __init__(
        self, definition: Definition, *, language: str = "all", holdout: int = 0, pool: WorkerPool | None = None
    ) -> None:
        if language not in LANGUAGES:
            raise ValueError(
                f"task {definition.name}: expected language to be one of {', '.join(LANGUAGES)}, got {language!r}"
            )
        if holdout < 0:
            raise ValueError(f"task {definition.name}: expected holdout >= 0 problems, got {holdout}")
        self.name = definition.name
        self.source = definition.source
        self.verifier = MathVerifier(definition.answer_format, pool=pool)
        self._definition = definition
        self._extract = extractor(definition.source.extractor)
        self._language = language
        self._holdout = holdout
        self._loaded: dict[str, Loaded] = {}

    def problems(self, split: str, count: int | None = None) -> Sequence[Problem]:
        """The first `count` problems of a split, all if None.

        Raises:
            ValueError: no such split, a source that cannot be read, or a row count that was not published.
        """
        found = self.loaded(split).problems
        return found if count is None else found[:count]

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        """One verdict per response, in order."""
        return self.verifier.verify(problems, responses)

    def steps(self, solution: str) -> tuple[Step, ...]:
        """Labelled steps, paragraphs, lines or sentences: see `segmentation.prose_steps`."""
        return prose_steps(solution)

    def metrics(self) -> dict[str, float]:
        """`verifier/<reason>` since the last call."""
        return self.verifier.metrics()

    def loaded(self, split: str) -> Loaded:
        """The problems of a split and what was dropped; read once."""
        if split not in self._loaded:
            is_held = split == VALIDATION and self._holdout > 0
            whole = self._load("train" if is_held or split not in self.source.splits else split, split)
            if self._holdout and split in ("train", VALIDATION):
                whole = _held_out(whole, self._holdout, keep_held=is_held)
            self._loaded[split] = whole
        return self._loaded[split]

    def _load(self, split: str, asked: str) -> Loaded:
        if asked != split and not (asked == VALIDATION and self._holdout):
            known = ", ".join([*self.source.splits, *([VALIDATION] if self._holdout else [])])
            raise ValueError(
                f"task {self.name}: expected a split among {known}; got {asked!r} (holdout makes validation)"
            )
        source = self.source
        records = load_records(source.location, split=source.splits[split], config=source.config)
        published = source.published_records.get(split, ())
        if published and len(records) not in published:
            expected = " or ".join(f"{n:,}" for n in published)
            raise ValueError(
                f"task {self.name}: expected the published {expected} rows in split {split!r}, found {len(records):,} "
                f"in {source.location!r}; check the file, or set `rows: any` if another version is meant"
            )
        return self._account(records)

    def _account(self, records: Sequence[Mapping[str, Any]]) -> Loaded:
        dropped: Counter[str] = Counter()
        problems = [p for record in records for p in [self._problem(record, dropped)] if p is not None]
        golds: dict[str, set[str]] = {}
        for problem in problems:
            golds.setdefault(_key(problem.text), set()).add(problem.answer)
        kept: list[Problem] = []
        seen: set[str] = set()
        for problem in problems:
            reason = self._why_dropped(problem, golds, seen)
            seen.add(_key(problem.text))
            if reason:
                dropped[reason] += 1
            else:
                kept.append(problem)
        conflicts = sum(len(answers) > 1 for answers in golds.values())
        return Loaded(
            problems=_with_unique_ids(kept),
            records=len(records),
            unique=len(golds),
            conflicts=conflicts,
            dropped=dict(dropped),
        )

    def _why_dropped(self, problem: Problem, golds: Mapping[str, set[str]], seen: set[str]) -> str:
        if self._definition.is_deduplicated:
            if _key(problem.text) in seen:
                return "duplicate"
            if len(golds[_key(problem.text)]) > 1:
                return "conflicting_gold"
        is_chinese = bool(_CHINESE.search(problem.text))
        return "language" if self._language != "all" and is_chinese != (self._language == "zh") else ""

    def _problem(self, record: Mapping[str, Any], dropped: Counter[str]) -> Problem | None:
        text = question_text(value(record, self._column(record, self.source.question, "question")))
        raw = value(record, self._column(record, self.source.answer, "answer"))
        gold = self._extract(gold_text(raw)) if raw is not None else None
        if not text or not gold:
            dropped["no_answer" if text else "no_question"] += 1
            return None
        given = next((str(record[key]) for key in _ID_COLUMNS if record.get(key) is not None), "")
        digest = hashlib.sha256(_key(text).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        name = given if given.startswith(f"{self.name}-") else f"{self.name}-{given or digest}"
        return Problem(id=name, text=text, answer=gold, metadata=self._definition.metadata(record))

    def _column(self, record: Mapping[str, Any], candidates: tuple[str, ...], what: str) -> str:
        found = first_present(record, candidates)
        if found is None and not any(c.split(".")[0] in record for c in candidates):
            raise ValueError(
                f"task {self.name}: expected the {what} in column {' or '.join(candidates)}; {self.source.location!r} "
                f"has {', '.join(sorted(map(str, record)))}: set `fields: {{{what}: <column>}}`"
            )
        return found or candidates[0]


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
        timeout_s, memory_mb, workers: see `mel.verify.Limits`.

    Raises:
        ValueError: an unknown key in `fields`, or a value that no task takes.
    """
    given = dict(fields or {})
    unknown = sorted(set(given) - {"question", "answer"})
    if unknown:
        raise ValueError(f"task {definition.name}: fields takes question and answer, got {', '.join(unknown)}")
    base = definition.source
    splits = base.splits
    if source is not None and is_single_file(source):
        splits = dict([next(iter(splits.items()))])
    published = base.published_records
    if rows is not None:
        if rows != "any" and not isinstance(rows, int):
            raise ValueError(f"task {definition.name}: expected rows to be a number or 'any', got {rows!r}")
        published = {} if isinstance(rows, str) else dict.fromkeys(splits, (rows,))
    replaced = replace(
        base,
        location=source or base.location,
        config=config if source or config else base.config,
        splits=splits,
        question=(given["question"],) if "question" in given else base.question,
        answer=(given["answer"],) if "answer" in given else base.answer,
        extractor=extractor or base.extractor,
        published_records=published,
    )
    pool = shared_pool(Limits(timeout_s=timeout_s, memory_mb=memory_mb, workers=workers))
    return MathTask(replace(definition, source=replaced), language=language, holdout=holdout, pool=pool)


def _key(text: str) -> str:
    """What makes two questions the same: their text up to white space."""
    return " ".join(text.split())


def _with_unique_ids(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """The problems, with a counter behind an id that the source repeats."""
    seen: Counter[str] = Counter()
    found: list[Problem] = []
    for problem in problems:
        seen[problem.id] += 1
        again = seen[problem.id]
        name = problem.id if again == 1 else f"{problem.id}-{again}"
        found.append(Problem(id=name, text=problem.text, answer=problem.answer, metadata=problem.metadata))
    return tuple(found)


def _held_out(whole: Loaded, count: int, *, keep_held: bool) -> Loaded:
    """One side of the split: the `count` problems whose text hashes lowest, or all others."""
    if count >= len(whole.problems):
        raise ValueError(f"holdout: expected fewer than the {len(whole.problems)} problems there are, got {count}")
    ranked = sorted(
        whole.problems, key=lambda p: hashlib.sha256(_key(p.text).encode("utf-8", "surrogatepass")).digest()
    )
    held = {problem.id for problem in ranked[:count]}
    problems = tuple(p for p in whole.problems if (p.id in held) == keep_held)
    reason = "in_train" if keep_held else "held_out"
    dropped = {**whole.dropped, reason: len(whole.problems) - len(problems)}
    return replace(whole, problems=problems, dropped=dropped)
