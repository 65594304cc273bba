"""The five benchmarks of the paper's tables, each with its answer format and its published number of problems."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from mel.tasks.mathematics import Definition, Source, build, no_metadata

BENCHMARKS = ("aime24", "aime25", "amc23", "math500", "olympiadbench")


def _benchmark(name: str, location: str, *records: int, **more: Any) -> Definition:
    """A definition whose only split is `test`; `more` goes to the source, except `metadata`."""
    metadata = more.pop("metadata", no_metadata)
    source = Source(
        location=location,
        splits={"test": more.pop("split", "test")},
        published_records={"test": records},
        **more,
    )
    return Definition(name=name, source=source, is_deduplicated=False, metadata=metadata)


def _olympiad_metadata(record: Mapping[str, Any]) -> dict[str, object]:
    """Unit, tolerance and several answers, from the columns that the benchmark publishes for its own judge."""
    found: dict[str, object] = {}
    if record.get("unit"):
        found["unit"] = str(record["unit"])
    tolerance = _tolerance(record.get("error"))
    if tolerance is not None:
        found["tolerance"] = tolerance
    if _is_true(record.get("is_multiple_answer")):
        found["has_parts"] = True
    for name in ("answer_type", "subfield"):
        if record.get(name):
            found[name] = str(record[name])
    return found


def _is_true(raw: object) -> bool:
    """A truth value, also as a CSV spells it."""
    return str(raw).strip().lower() in ("true", "1", "1.0", "yes")


def _tolerance(raw: object) -> float | None:
    try:
        return float(str(raw))
    except ValueError:
        return None


aime24 = partial(build, _benchmark("aime24", "HuggingFaceH4/aime_2024", 30, split="train", answer=("answer",)))
aime25 = partial(build, _benchmark("aime25", "math-ai/aime25", 30, answer=("answer",)))
amc23 = partial(build, _benchmark("amc23", "math-ai/amc23", 40, answer=("answer",)))
math500 = partial(build, _benchmark("math500", "HuggingFaceH4/MATH-500", 500, answer=("answer",)))
# 674 records on the hub; the copy that the Qwen evaluations circulate has 675.
olympiadbench = partial(
    build,
    _benchmark(
        "olympiadbench",
        "Hothan/OlympiadBench",
        675,
        674,
        config="OE_TO_maths_en_COMP",
        split="train",
        answer=("answer", "final_answer"),
        metadata=_olympiad_metadata,
    ),
)
