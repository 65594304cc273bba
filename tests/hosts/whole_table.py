"""Every auxiliary of the table on two ranks whose groups differ, with the collective calls that each rank made.

Part of what `two_ranks` runs on both ranks; `test_trl_ranks` compares what is saved here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tiny
import torch

from mel import prompts
from mel.hosts.trl.verdicts import VerifierReward
from mel.methods import AUXILIARIES, AuxiliarySettings, Method, Surroundings, build
from mel.objective.weight import Constant
from mel.prompts.ask import PlainAsk
from mel.prompts.chat import ChatTokenizer
from mel.step import RowLearning
from mel.types import Problem, Step, Verdict

GROUP, STEPS = 8, 3
COLLECTIVES = (
    "all_gather", "all_gather_into_tensor", "all_gather_object", "all_reduce", "barrier", "broadcast",
    "broadcast_object_list", "gather", "gather_object", "scatter_object_list",
)  # fmt: skip
RIGHT = {"mixed": (0, 3, 5), "wrong": (), "right": range(GROUP)}
"""Places in a group of the right rollouts."""
FURTHER = tuple(Problem(id=f"further {i}", text=f"w{i} w{i + 1}", answer="") for i in range(4))
"""What may be drawn in the place of a group that teaches nothing."""

KINDS = (("mixed", "wrong"), ("right", "mixed"), ("wrong", "right"))
"""What the groups of the two ranks are, step by step."""


def settings_of(name: str) -> AuxiliarySettings:
    """The defaults, with limits that a model of random weights reaches soon."""
    limits = {field: 6 for field in AUXILIARIES[name].model_fields if field.endswith("max_tokens")}
    return AUXILIARIES[name](**limits)


def together() -> dict[str, tuple[AuxiliarySettings, ...]]:
    """Each alone, and all of them at once."""
    alone = {name: (settings_of(name),) for name in AUXILIARIES}
    return {**alone, "all": tuple(settings for (settings,) in alone.values())}


def two_words_a_step(text: str) -> tuple[Step, ...]:
    """Steps of two words, numbered."""
    found = list(re.finditer(r"\S+\s+\S+", text))
    return tuple(Step(number=i, start=m.start(), end=m.end()) for i, m in enumerate(found, 1))


def method_of(settings: Sequence[AuxiliarySettings], args: Any) -> Method:
    at = Surroundings(
        tokenizer=ChatTokenizer(tiny.tokenizer()),
        prompts=prompts.load("story_counts", [file for each in settings for file in each.prompts]),
        steps=two_words_a_step,
        rollout_max_tokens=args.max_completion_length,
        problems=FURTHER,
        ask=PlainAsk(prompts=prompts.load("story_counts")),
    )
    # A carrier and a credit rule that read what changed groups and experiences change.
    has_experiences = any(each.keeps_ledger for each in settings)
    return build(
        at=at,
        carrier="reinforce_pp" if len(settings) > 1 else "grpo",
        credit="first_error" if has_experiences else "outcome",
        auxiliaries=settings,
    )


class Fixed:
    """What a rank rolls out, and what is right: of rollouts as `KINDS` says, of anything else every second one."""

    def __init__(self, rank: int) -> None:
        self._rank = rank
        self._kinds = iter(KINDS)
        self._right: Sequence[int] | None = None

    def roll(self, asked: list[Any], trainer: Any) -> dict[str, Any]:
        """Eight words or more, which differ from the third on, so that rollouts have steps and share the first."""
        ids = trainer._tokenize_prompts(asked)[0]
        words = [[5 + (7 * k + 3 * i * (k > 1)) % 40 for k in range(8 + i % 3)] for i in range(len(ids))]
        self._right = RIGHT[next(self._kinds)[self._rank]]
        return {"prompt_ids": ids, "completion_ids": [[*each, 1] for each in words], "logprobs": None}

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        right, self._right = self._right, None
        is_right = [i % 2 == 0 if right is None else i in right for i in range(len(responses))]
        return [Verdict(is_correct=each, reason="right" if each else "wrong") for each in is_right]


@contextmanager
def counted() -> Iterator[list[str]]:
    """The names of the collective calls made inside, in order."""
    made: list[str] = []
    before = {name: getattr(torch.distributed, name) for name in COLLECTIVES}

    def noted(name: str) -> Any:
        return lambda *args, **kwargs: (made.append(name), before[name](*args, **kwargs))[1]

    for name in COLLECTIVES:
        setattr(torch.distributed, name, noted(name))
    try:
        yield made
    finally:
        for name, function in before.items():
            setattr(torch.distributed, name, function)


def train_each(folder: Path, rank: int) -> None:
    """Three steps of every case; what was called, how many prompts each engine call had, and what was logged."""
    for case, settings in together().items():
        args = tiny.config(
            folder / "out",
            num_generations=GROUP,
            per_device_train_batch_size=GROUP,
            max_completion_length=10,
            max_steps=STEPS,
        )
        fixed = Fixed(rank)
        method = method_of(settings, args)
        learning = {each.name: RowLearning(weight=Constant(0.5)) for each in settings}
        trainer = tiny.trainer(
            tiny.MELTrainer,
            args,
            method=method,
            learning=learning,
            verifier=fixed,
            reward_funcs=VerifierReward(fixed),
            rollout_func=fixed.roll,
        )
        prompts_per_call: list[int] = []
        generate = trainer._generate_single_turn

        def noted(asked: list[Any], *rest: Any, of: Any = generate, calls: Any = prompts_per_call, **more: Any) -> Any:
            calls.append(len(asked))
            return of(asked, *rest, **more)

        trainer._generate_single_turn = noted
        with counted() as calls:
            trainer.train()
        log = [line for line in trainer.state.log_history if "rows/real" in line]
        found = {"calls": calls, "prompts": prompts_per_call, "log": log, "phases": method.phases}
        torch.save(found, folder / f"table-{case}-rank{rank}.pt")
