"""The method of a trainer that was given none: plain GRPO with MEL as the configuration's `mel_*` fields say."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from trl.trainer.grpo_config import GRPOConfig

from mel import prompts
from mel.hosts.trl.config import experience_settings, row_learning, setting
from mel.hosts.trl.problems import lines_as_steps
from mel.methods import Method, Surroundings, build
from mel.ports import Inspectable, Steps, Task, Tokenizer
from mel.step import RowLearning


def default_method(args: GRPOConfig, tokenizer: Tokenizer, *, task: Task | None, segmenter: Steps | None) -> Method:
    """GRPO with meta-experience learning; prompts and steps are the task's where there is one.

    Args:
        segmenter: numbered steps of a solution; None for the task's, or else for one step per line.
    """
    surroundings = Surroundings(
        tokenizer=tokenizer,
        prompts=prompts.load(task.prompt_set if task is not None else setting(args, "prompts")),
        steps=segmenter or (task.steps if task is not None else lines_as_steps),
        rollout_max_tokens=args.max_completion_length or setting(args, "construct_max_tokens"),
        seed=args.seed,
        inspector=task if isinstance(task, Inspectable) else None,
    )
    return build(at=surroundings, auxiliaries=[experience_settings(args)])


def learning_of(args: GRPOConfig, method: Method, given: Mapping[str, RowLearning]) -> dict[str, RowLearning]:
    """How the rows of each auxiliary are learned, by its name: as given, or else as the configuration says.

    Raises:
        ValueError: a name that no auxiliary has, or one weight for two auxiliaries, whose running mean it would mix.
    """
    names = [auxiliary.name for auxiliary in method.auxiliaries]
    strange = [name for name in given if name not in names]
    if strange:
        raise ValueError(f"learning: expected names of auxiliaries ({', '.join(names) or 'none'}), got {strange[0]!r}")
    learned = {name: given.get(name) or row_learning(args) for name in names}
    for one, other in combinations(names, 2):
        if learned[one].weight is learned[other].weight:
            raise ValueError(
                f"learning: {one} and {other} share one weight, which holds a running mean; give each its own"
            )
    return learned


def refuse_auxiliaries(method: Method, what: str) -> None:
    """Refuses a method that would make experiences of rollouts which are not text of one turn.

    Raises:
        ValueError: the method has auxiliaries.
    """
    if method.auxiliaries:
        raise ValueError(
            f"meta-experiences are made of text rollouts of one turn; {what} are not supported with auxiliaries "
            f"({', '.join(a.name for a in method.auxiliaries)}): train without them, or with a method without any"
        )
