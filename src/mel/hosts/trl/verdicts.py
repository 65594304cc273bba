"""Who says a response is right: the verifier the caller gives, or one of TRL's reward functions."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Sequence
from typing import Any, Protocol

from torch import nn
from transformers.utils import logging
from trl.trainer.grpo_trainer import GRPOTrainer

from mel.hosts.trl.problems import Example, Scored, problem_of
from mel.ports import Tokenizer, Verifier
from mel.types import Problem, Verdict

logger = logging.get_logger(__name__)

WATCHED_BATCHES = 5
"""Generation batches after which rewards that never cross the threshold are reported."""


class RolloutVerifier(Verifier, Protocol):
    """A verifier that also knows the verdicts of the rollouts TRL just scored."""

    def of_rollouts(self, scored: Scored, problems: Sequence[Problem]) -> list[Verdict]:
        """One verdict per rollout of this rank, in order; `problems` are those that the groups will hold."""
        ...


class VerdictsOfReward:
    """The `Verifier` port over one reward function, called directly with the columns of the problem's dataset row.

    Never through `GRPOTrainer._calculate_rewards`, which gathers over ranks and would hang where ranks have
    different numbers of replays.

    Args:
        which: name or index of the reward function; None for the first.
        threshold: a response is right iff its reward exceeds this.

    Raises:
        ValueError: no such reward function, or a reward model, whose scores need TRL's own path.
    """

    def __init__(self, trainer: GRPOTrainer, tokenizer: Tokenizer, *, which: str | None, threshold: float) -> None:
        self._trainer: Any = trainer
        self._tokenizer = tokenizer
        self._threshold = threshold
        self.index = reward_index(trainer.reward_func_names, which)
        self._examples: list[tuple[Problem, Example]] = []
        self._seen: list[float] = []
        self._batches_seen = 0
        if isinstance(trainer.reward_funcs[self.index], nn.Module):
            raise ValueError(
                f"mel_correctness: {trainer.reward_func_names[self.index]!r} is a reward model; verdicts need a "
                "reward function that says right or wrong: name another one, pass `verifier=`, or pass "
                "`method=plain_method()` (of mel.hosts.trl) for a method without auxiliaries"
            )

    def of_rollouts(self, scored: Scored, problems: Sequence[Problem]) -> list[Verdict]:
        self._examples = list(zip(problems, scored.examples, strict=True))
        rewards = [values[self.index] for values in scored.rewards_per_function]
        self._watch(rewards)
        return self._judge(rewards)

    def _watch(self, rewards: Sequence[float]) -> None:
        """Warns once if the first generation batches lie on one side of the threshold, as rewards of other scales do.

        Then no rollout can be told from another, and the auxiliaries would idle for the whole run without a word.
        """
        self._seen.extend(reward for reward in rewards if not math.isnan(reward))
        self._batches_seen += 1
        if self._batches_seen != WATCHED_BATCHES or not self._seen:
            return
        low, high = min(self._seen), max(self._seen)
        if low > self._threshold or high <= self._threshold:
            side = "above" if low > self._threshold else "at or below"
            logger.warning(
                "reward function %r gave all %d rollouts of the first %d generation batches a reward %s "
                "mel_right_above=%g (from %g to %g): all of them count as %s, so that no experience is made. Set "
                "mel_right_above between the reward of a wrong and that of a right response, or name another reward "
                "function by mel_correctness",
                self._trainer.reward_func_names[self.index],
                len(self._seen),
                WATCHED_BATCHES,
                side,
                self._threshold,
                low,
                high,
                "right" if low > self._threshold else "wrong",
            )
        self._seen.clear()

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        if not responses:
            return []
        examples = [self._example(p) for p in problems]
        columns = {k: [e[k] for e in examples] for k in examples[0] if k not in ("completion", "completion_ids")}
        prompts = columns.pop("prompt")
        is_chat = not isinstance(prompts[0], str)
        function = self._trainer.reward_funcs[self.index]
        values = self._asked(
            function,
            len(responses),
            prompts=prompts,
            completions=[[{"role": "assistant", "content": r}] if is_chat else r for r in responses],
            completion_ids=[list(self._tokenizer.encode(r)) for r in responses],
            trainer_state=self._trainer.state,
            # A replay is no rollout: its extra columns and metrics must not enter TRL's tables.
            log_extra=_ignore,
            log_metric=_ignore,
            **columns,
        )
        return self._judge([math.nan if v is None else float(v) for v in values])

    def _asked(self, function: Any, count: int, **arguments: Any) -> Sequence[float | None]:
        """Its values, one per replay; what goes wrong names the function and the phase."""
        name = self._trainer.reward_func_names[self.index]
        advice = (
            "replays are judged in numbers that are no multiple of num_generations, so it must judge each completion "
            "by itself: name another one by mel_correctness, or pass `verifier=`"
        )
        try:
            values = function(**arguments)
            if inspect.isawaitable(values):
                values = asyncio.run_coroutine_threadsafe(_awaited(values), self._trainer.async_loop).result()
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"
            raise ValueError(f"reward function {name!r} failed on {count} replays ({fault}); {advice}") from error
        if len(values) != count:
            raise ValueError(
                f"reward function {name!r} on replays: expected {count} values, got {len(values)}; {advice}"
            )
        return values

    def _example(self, problem: Problem) -> Example:
        """The dataset row of the group that this problem stands in: ids need not be unique, objects are."""
        for known, example in self._examples:
            if known is problem:
                return example
        for known, example in self._examples:
            if known == problem:
                return example
        raise ValueError(
            f"problem {problem.id!r}: expected one of this generation batch, got one without a dataset row"
        )

    def _judge(self, values: Sequence[float]) -> list[Verdict]:
        return [self._verdict(value) for value in values]

    def _verdict(self, value: float) -> Verdict:
        if math.isnan(value):
            return Verdict(is_correct=False, reason="unscored")
        is_correct = value > self._threshold
        return Verdict(is_correct=is_correct, reason="right" if is_correct else "wrong", detail=f"reward {value:g}")


class VerifierReward:
    """A TRL reward function over a `Verifier`: a completion earns its verdict's reward.

    It keeps the verdicts of its last call, so that the trainer need not verify the same rollouts twice.
    """

    def __init__(self, verifier: Verifier, *, name: str = "correct") -> None:
        self.__name__ = name
        self.verifier = verifier
        self.verdicts: list[Verdict] = []

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float]:
        examples = [{k: v[i] for k, v in columns.items() if _is_column(v, prompts)} for i in range(len(prompts))]
        problems = [problem_of({**e, "prompt": p}) for e, p in zip(examples, prompts, strict=True)]
        self.verdicts = self.verifier.verify(problems, [response_text(c) for c in completions])
        return [v.reward for v in self.verdicts]


class VerdictsOfVerifier:
    """Verdicts from the verifier the caller gave, taken over from its `VerifierReward` where that already has them."""

    def __init__(self, verifier: Verifier, reward: VerifierReward | None, tokenizer: Tokenizer) -> None:
        self._verifier = verifier
        self._reward = reward
        self._tokenizer = tokenizer

    def of_rollouts(self, scored: Scored, problems: Sequence[Problem]) -> list[Verdict]:
        if self._reward is not None:
            return self._reward.verdicts
        texts = [self._tokenizer.decode(ids) for ids in scored.completion_ids]
        return self._verifier.verify(problems, texts)

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        return self._verifier.verify(problems, responses)


class VerdictsOfSpread:
    """Verdicts for a method that replays nothing: those above their group's lowest are right.

    So a group is mixed exactly if its rewards differ, whatever their scale.
    """

    def __init__(self, group_size: int) -> None:
        self._size = group_size

    def of_rollouts(self, scored: Scored, problems: Sequence[Problem]) -> list[Verdict]:
        del problems
        groups = [scored.rewards[i : i + self._size] for i in range(0, len(scored.rewards), self._size)]
        return [verdict for group in groups for verdict in _within(group)]

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        if responses:
            raise ValueError(f"a method without auxiliaries replays nothing; got {len(responses)} to verify")
        return []


def _within(rewards: Sequence[float]) -> list[Verdict]:
    known = [r for r in rewards if not math.isnan(r)]
    lowest = min(known, default=0.0)
    return [
        Verdict(is_correct=False, reason="unscored")
        if math.isnan(r)
        else Verdict(is_correct=r > lowest, reason="right" if r > lowest else "wrong", detail=f"reward {r:g}")
        for r in rewards
    ]


def rollout_verifier(
    trainer: GRPOTrainer, tokenizer: Tokenizer, *, verifier: Verifier | None, which: str | None, threshold: float
) -> RolloutVerifier:
    """Who decides: `verifier` if given, else the reward function that `which` names."""
    rewards = [r for r in trainer.reward_funcs if isinstance(r, VerifierReward)]
    if verifier is None:
        chosen = trainer.reward_funcs[reward_index(trainer.reward_func_names, which)]
        if which is None and len(trainer.reward_funcs) > 1:
            logger.warning(
                "of the reward functions %s the first one says which rollouts and replays are right, since "
                "mel_correctness is not set: name the one that should, or pass `verifier=`",
                ", ".join(map(repr, trainer.reward_func_names)),
            )
        if not isinstance(chosen, VerifierReward):
            return VerdictsOfReward(trainer, tokenizer, which=which, threshold=threshold)
        return VerdictsOfVerifier(chosen.verifier, chosen, tokenizer)
    return VerdictsOfVerifier(verifier, next((r for r in rewards if r.verifier is verifier), None), tokenizer)


def reward_index(names: Sequence[str], which: str | None) -> int:
    """Position of the reward function that decides.

    Raises:
        ValueError: the names there are.
    """
    if which is None:
        return 0
    if which in names:
        return list(names).index(which)
    if which.isdigit() and int(which) < len(names):
        return int(which)
    raise ValueError(
        f"mel_correctness: expected one of {', '.join(names)} or an index below {len(names)}, got {which!r}"
    )


async def _awaited(value: Any) -> Any:
    return await value


def response_text(completion: Any) -> str:
    """The text of a completion as TRL hands it to reward functions: a string, or a list of messages."""
    if isinstance(completion, str):
        return completion
    return "".join(str(m.get("content") or "") for m in completion)


def _is_column(value: Any, prompts: Sequence[Any]) -> bool:
    return isinstance(value, list) and len(value) == len(prompts)


def _ignore(*args: Any) -> None:
    del args
