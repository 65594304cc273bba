"""MATH (arXiv 2103.03874), the 7,500 training problems; the gold is the last box of the worked solution."""

from __future__ import annotations

from functools import partial

from mel.tasks.mathematics import Definition, Source, build, worked_solution

DEFINITION = Definition(
    name="math",
    source=Source(
        location="DigitalLearningGmbH/MATH-lighteval",
        splits={"train": "train", "test": "test"},
        answer=("solution",),
        extractor="boxed",
    ),
    metadata=worked_solution("solution"),
)

math = partial(build, DEFINITION)
"""The task from the options of `mathematics.build`."""
