"""One generation batch of TRL's through the method: from its tensors to groups, and from rows back to tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from transformers.utils import logging
from trl.trainer.grpo_trainer import GRPOTrainer

from mel.hosts.trl.generator import TrainerGenerator
from mel.hosts.trl.implicit_reward import ImplicitReward
from mel.hosts.trl.initial_policy import initial_policy
from mel.hosts.trl.policy_rows import PolicyScale
from mel.hosts.trl.problems import Scored, opening_of, problem_of
from mel.hosts.trl.progress import ProgressReporter
from mel.hosts.trl.ranks import TrainerRanks
from mel.hosts.trl.row_losses import with_sampling_logprobs
from mel.hosts.trl.scorer import TrainerScorer
from mel.hosts.trl.update import Slot
from mel.hosts.trl.verdicts import RolloutVerifier, VerdictsOfReward, VerdictsOfSpread
from mel.methods import Method, drive
from mel.objective.randomness import own_stream
from mel.objective.rows import RowBatch, pad_rows
from mel.ports import Observer, Rater, Remembering, Requests, Tokenizer
from mel.step import Accounting, Gathering, Key, Learned, Patience, Rolled, RowLearning, build_groups, lay_out, learn
from mel.step.batch import merged
from mel.step.changes import Advantages
from mel.step.slots import key_of, spread
from mel.types import Group, Problem, Row

logger = logging.get_logger(__name__)

T = TypeVar("T")

_NO_PROBLEM = Problem(id="", text="", answer="")


@dataclass(frozen=True, kw_only=True, slots=True)
class MicroSteps:
    """What a generation batch adds to the micro-steps that use it.

    Args:
        slots: rows per micro-step.
        advantages: of this rank's rollouts, (B,) or (B, T); None to keep TRL's.
        metrics: over all ranks.
        sums: names of those metrics that are counts.
    """

    slots: Sequence[Slot]
    advantages: Tensor | None
    metrics: Mapping[str, float]
    sums: frozenset[str]


class Learner:
    """Runs a method's three slots on what TRL rolled out.

    Args:
        source: says which rollouts and replays are right.
        learning: how each auxiliary's rows enter the optimizer step, by its name.
        observers: hear of every outcome, on the main process.
        progress: hears of every request that is answered.
        rater: the process reward model, where the method declares one.
        rewarder: the reward model that is learned beside the policy, where the method declares one.
    """

    def __init__(
        self,
        trainer: GRPOTrainer,
        method: Method,
        *,
        tokenizer: Tokenizer,
        source: RolloutVerifier,
        learning: Mapping[str, RowLearning],
        observers: Sequence[Observer],
        progress: ProgressReporter,
        rater: Rater | None = None,
        rewarder: ImplicitReward | None = None,
    ) -> None:
        self._trainer: Any = trainer
        self._method = method
        self._tokenizer = tokenizer
        self._source = source
        self._learning = learning
        self._observers = observers
        self._progress = progress
        _check_verdicts(method, source)
        self._rater = rater
        self.rewarder = rewarder
        self._generator = TrainerGenerator(trainer, tokenizer)
        samples = method.carrier_settings.samples_initial
        self._initial = initial_policy(trainer, samples=samples) if method.needs_initial_policy else None
        self._scorer = TrainerScorer(trainer, progress=progress, initial=self._initial)
        self._ranks = TrainerRanks(trainer.accelerator)
        self._patience = Patience()
        self.gathering = Gathering.of(method.settings)
        """Groups and rows of earlier batches that wait; a part of a checkpoint."""
        self.batches = 0
        """Generation batches so far; seeds our sampling, so it is part of a checkpoint."""

    def remembered(self) -> dict[str, Remembering]:
        """The auxiliaries that carry something over from batch to batch, by name: a part of a checkpoint."""
        return {a.name: a for a in self._method.auxiliaries if isinstance(a, Remembering)}

    def sampling(self) -> AbstractContextManager[None]:
        """Inside, the policy is the one that the carrier takes its rollouts from."""
        if self._initial is None or not self._method.carrier_settings.samples_initial:
            return nullcontext()
        return self._initial.inside(self._trainer.accelerator.unwrap_model(self._trainer.model))

    def learn(self, scored: Scored, output: Mapping[str, Any], accounting: Accounting) -> MicroSteps:
        """Drive the method; the same collective calls on every rank, whatever its groups hold.

        Args:
            output: what TRL made of the generation batch, before it is shuffled.
            accounting: already holds the rollout's tokens and seconds.
        """
        trainer, groups = self._trainer, self._groups(scored, output)
        step = trainer.state.global_step + 1
        with own_stream(trainer.args.seed, self.batches, trainer.accelerator.process_index):
            learned = learn(
                self._method,
                self._rolled(scored, groups, output),
                step=step,
                answer=self._answer,
                ranks=self._ranks,
                accounting=accounting,
                gathering=self.gathering,
            )
        self.batches += 1
        self._tell(step, groups, learned)
        for warning in self._patience.after(learned.idle):
            if trainer.accelerator.is_main_process:
                logger.warning("%s", warning)
        scale = PolicyScale.of(trainer, learned.share, output)
        return MicroSteps(
            slots=self._slots(learned, scale),
            advantages=_tensor(learned, output, scale.of_host),
            metrics=learned.metrics,
            sums=learned.sums,
        )

    def _answer(self, requests: Requests[T]) -> T:
        watched = self._progress.watch(requests)
        return drive(watched, self._generator, self._source, self._scorer, self._rater, self.rewarder)

    def _groups(self, scored: Scored, output: Mapping[str, Any]) -> list[Group]:
        masks = output["prompt_mask"].bool()
        prompts = [tuple(ids[mask].tolist()) for ids, mask in zip(output["prompt_ids"].cpu(), masks.cpu(), strict=True)]
        # Rows of any form are fine where nobody reads their problems.
        is_plain = isinstance(self._source, VerdictsOfSpread)
        problems = [_NO_PROBLEM if is_plain else problem_of(example) for example in scored.examples]
        return build_groups(
            problems,
            prompts,
            scored.completion_ids,
            scored.rewards,
            self._source.of_rollouts(scored, problems),
            group_size=self._trainer.num_generations,
            tokenizer=self._tokenizer,
            eos_ids=self._trainer.eos_token_ids,
            openings=[opening_of(example["prompt"]) for example in scored.examples]
            if self._method.asks_about_problems
            else None,
        )

    def _rolled(self, scored: Scored, groups: Sequence[Group], output: Mapping[str, Any]) -> Rolled:
        size, rewards = self._trainer.num_generations, scored.all_rewards
        return Rolled(
            groups=tuple(groups),
            rewards=tuple(tuple(rewards[i : i + size]) for i in range(0, len(rewards), size)),
            advantages=tuple(output["advantages"].tolist()),
        )

    def _tell(self, step: int, groups: Sequence[Group], learned: Learned) -> None:
        if not any(self._ranks.all_of(bool(self._observers))):
            return
        parts = self._ranks.on_main((list(groups), learned.outcome))
        if not parts:
            return
        everything, all_groups = merged(o for _, o in parts), [g for gs, _ in parts for g in gs]
        for observer in self._observers:
            observer.on_outcome(step, everything, all_groups)

    def _slots(self, learned: Learned, policy: PolicyScale) -> Sequence[Slot]:
        """One batch per slot and key, of the same size on every rank; a key without rows on any rank is left out."""
        count = self._trainer.args.steps_per_generation
        slots: list[dict[Key, RowBatch]] = [{} for _ in range(count)]
        for key, most in learned.totals.most.items():
            rows = [row for row in learned.rows if key_of(row) == key]
            for slot, (own, size) in enumerate(zip(lay_out(rows, num_slots=count), spread(most, count), strict=True)):
                if size:
                    slots[slot][key] = self._padded(key, own, learned, policy, size)
        return slots

    def _padded(self, key: Key, rows: Sequence[Row], learned: Learned, policy: PolicyScale, count: int) -> RowBatch:
        scales = [
            policy.of_row(row)
            if not row.auxiliary
            else learned.totals.scale(row, self._learning[row.auxiliary].reduction)
            for row in rows
        ]
        auxiliary, term = key
        pad_id = self._trainer.eos_token_ids[0]
        batch = pad_rows(rows, scales, pad_id=pad_id, count=count, term=term, auxiliary=auxiliary)
        return with_sampling_logprobs(self._trainer, batch) if batch.term == "policy" else batch


def _check_verdicts(method: Method, source: RolloutVerifier) -> None:
    """Refuses to judge answers to problems of an earlier batch by a reward function: it reads the row of the data
    set, which is known in the batch of that row alone."""
    late = [settings.name for settings in method.settings if settings.gathers > 1]
    if late and isinstance(source, VerdictsOfReward):
        raise ValueError(
            f"auxiliary {late[0]!r} gathers batches, whose answers a reward function cannot judge later: pass "
            "`verifier=` or `task=`, or let it learn from each batch (gather: 1)"
        )


def _tensor(learned: Learned, output: Mapping[str, Any], of_host: float) -> Tensor | None:
    """The advantages as TRL takes them; None to keep its own."""
    if learned.advantages is None:
        return None
    given_B: Tensor = output["advantages"]
    width = output["completion_ids"].size(1)
    if all(isinstance(of_rollout, float | int) for of_rollout in learned.advantages):
        return of_host * torch.tensor(learned.advantages).to(given_B)
    flat = [_padded_to(width, of_rollout) for of_rollout in learned.advantages]
    return of_host * torch.tensor(flat).to(given_B)


def _padded_to(width: int, advantages: Advantages) -> list[float]:
    """One advantage per position: the same for all, or 0 behind the last token."""
    if isinstance(advantages, float | int):
        return [float(advantages)] * width
    return [*advantages, *[0.0] * (width - len(advantages))]
