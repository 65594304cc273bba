"""GSM8K (arXiv 2110.14168): grade-school word problems; the gold follows `####` in the worked solution."""

from __future__ import annotations

from functools import partial

from mel.tasks.mathematics import Definition, Source, build, worked_solution
from mel.verify import BOXED, AnswerFormat

DEFINITION = Definition(
    name="gsm8k",
    source=Source(
        location="openai/gsm8k",
        config="main",
        splits={"train": "train", "test": "test"},
        question=("question",),
        answer=("answer",),
        extractor="hashes",
        published_records={"test": (1319,)},
    ),
    # Models tuned on its solutions end as these do; all others are asked to box.
    answer_format=AnswerFormat(markers=(BOXED, "####")),
    metadata=worked_solution("answer"),
)

gsm8k = partial(build, DEFINITION)
"""The task from the options of `mathematics.build`."""
