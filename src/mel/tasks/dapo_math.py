"""DAPO-Math-17k (arXiv 2503.14476): competition problems with integer answers, English and Chinese.

The hub's copy repeats and contradicts itself: 17,917 rows hold 17,188 questions, 12 of them with two golds.
"""

from __future__ import annotations

from functools import partial

from mel.tasks.mathematics import Definition, Source, build

DEFINITION = Definition(
    name="dapo_math",
    source=Source(
        location="open-r1/DAPO-Math-17k-Processed",
        config="all",
        question=("problem", "question", "prompt"),
        answer=("answer", "solution", "reward_model.ground_truth"),
    ),
)

dapo_math = partial(build, DEFINITION)
"""The task from the options of `mathematics.build`."""
