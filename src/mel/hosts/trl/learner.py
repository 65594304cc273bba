"""One generation batch through the method: groups in, rows and advantages out, everything counted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from trl.trainer.grpo_trainer import GRPOTrainer

from mel.hosts.trl.accounting import Accounting
from mel.hosts.trl.generator import TrainerGenerator
from mel.hosts.trl.observer import Observer
from mel.hosts.trl.problems import Scored, build_groups
from mel.hosts.trl.randomness import own_stream
from mel.hosts.trl.ranks import all_of, gathered_on_main, sum_counts
from mel.hosts.trl.slots import lay_out
from mel.hosts.trl.verdicts import VerdictSource
from mel.methods import Method, drive, ratios
from mel.objective.rows import Reduction, RowBatch, Totals
from mel.ports import Tokenizer
from mel.types import Group, Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Learned:
    """What a generation batch adds to the optimizer steps that use it.

    Args:
        slots: rows per micro-step; None where no rank has any.
        advantages: of this rank's rollouts, (B,) or (B, T); None to keep TRL's.
        metrics: over all ranks.
    """

    slots: list[RowBatch | None]
    advantages: Tensor | None
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Report:
    """What every rank tells the others, once per generation batch."""

    counts: dict[str, float]
    seconds: dict[str, float]
    totals: Totals
    is_observed: bool = field(default=False)


class Learner:
    """Runs a method's auxiliaries and credit on what TRL rolled out.

    Args:
        source: says which rollouts and replays are right.
        reduction: over the tokens of the rows.
        observers: hear of every outcome, on the main process.
    """

    def __init__(
        self,
        trainer: GRPOTrainer,
        method: Method,
        *,
        tokenizer: Tokenizer,
        source: VerdictSource,
        reduction: Reduction,
        observers: Sequence[Observer],
    ) -> None:
        self._trainer: Any = trainer
        self._method = method
        self._tokenizer = tokenizer
        self._source = source
        self._reduction: Reduction = reduction
        self._observers = observers
        self._generator = TrainerGenerator(trainer, tokenizer)
        self.batches = 0
        """Generation batches so far; seeds our sampling, so it is part of a checkpoint."""

    def learn(self, scored: Scored, output: Mapping[str, Any], accounting: Accounting) -> Learned:
        """Drive every auxiliary; the same collective calls on every rank, whatever its groups hold.

        Args:
            output: what TRL made of the generation batch, before it is shuffled.
            accounting: already holds the rollout's tokens and seconds.
        """
        groups = self._groups(scored, output)
        outcome = self._drive(groups, accounting)
        self.batches += 1
        reports: list[_Report] = all_of(self._report(groups, outcome, accounting))
        totals = Totals.sum([r.totals for r in reports])
        most = max(r.totals.num_rows for r in reports)
        slots = lay_out(
            outcome.rows,
            most=most,
            totals=totals,
            num_slots=self._trainer.args.steps_per_generation,
            pad_id=self._trainer.eos_token_ids[0],
            reduction=self._reduction,
        )
        if any(r.is_observed for r in reports):
            self._tell(groups, outcome)
        metrics = _metrics(reports, scored, rows=totals.num_rows, dummies=most * len(reports) - totals.num_rows)
        return Learned(slots=slots, advantages=self._advantages(scored, groups, outcome, output), metrics=metrics)

    def _groups(self, scored: Scored, output: Mapping[str, Any]) -> list[Group]:
        masks = output["prompt_mask"].bool()
        prompts = [tuple(ids[mask].tolist()) for ids, mask in zip(output["prompt_ids"].cpu(), masks.cpu(), strict=True)]
        return build_groups(
            scored,
            prompts,
            self._source.of_rollouts(scored),
            group_size=self._trainer.num_generations,
            tokenizer=self._tokenizer,
            eos_ids=self._trainer.eos_token_ids,
        )

    def _drive(self, groups: Sequence[Group], accounting: Accounting) -> Outcome:
        trainer = self._trainer
        outcomes: list[Outcome] = []
        with own_stream(trainer.args.seed, self.batches, trainer.accelerator.process_index):
            for auxiliary in self._method.auxiliaries:
                requests = auxiliary.learn(groups, step=trainer.state.global_step + 1)
                outcomes.append(drive(accounting.watch(requests), self._generator, self._source))
        return merged(outcomes)

    def _report(self, groups: Sequence[Group], outcome: Outcome, accounting: Accounting) -> _Report:
        rows = outcome.rows
        counts = {
            "groups": float(len(groups)),
            "groups_mixed": float(sum(g.is_mixed for g in groups)),
            "tokens/rows": float(sum(len(r.target_ids) for r in rows)),
            "tokens/rows_context": float(sum(len(r.context_ids) for r in rows)),
            **accounting.counts(),
            **{f"experience/{key}": float(value) for key, value in outcome.counts.items()},
        }
        return _Report(
            counts=counts,
            seconds=accounting.seconds,
            totals=Totals.of(rows),
            is_observed=bool(self._observers),
        )

    def _tell(self, groups: Sequence[Group], outcome: Outcome) -> None:
        parts = gathered_on_main((list(groups), outcome), self._trainer.accelerator)
        if not parts:
            return
        everything, all_groups = merged([o for _, o in parts]), [g for gs, _ in parts for g in gs]
        for observer in self._observers:
            observer.on_outcome(self._trainer.state.global_step + 1, everything, all_groups)

    def _advantages(
        self, scored: Scored, groups: Sequence[Group], outcome: Outcome, output: Mapping[str, Any]
    ) -> Tensor | None:
        """The carrier's advantages times the credit's token weights; None where both leave TRL's alone."""
        given_B: Tensor = output["advantages"]
        weights = self._method.credit.token_weights(groups, outcome.replayed)
        if self._method.carrier.name == "grpo":
            if weights is None:
                return None
            advantages_B = given_B
        else:
            advantages_B = self._carried(scored).to(given_B)
        if weights is None:
            return advantages_B
        width = output["completion_ids"].size(1)
        flat = [w + [1.0] * (width - len(w)) for group in weights for w in group]
        return advantages_B[:, None] * torch.tensor(flat).to(given_B)

    def _carried(self, scored: Scored) -> Tensor:
        """This rank's advantages; computed over the groups of all ranks, since carriers may use the whole batch."""
        size, index = self._trainer.num_generations, self._trainer.accelerator.process_index
        # A rollout that no reward function scored carries no signal, as in TRL.
        rewards = [0.0 if math.isnan(r) else r for r in scored.all_rewards]
        by_group = self._method.carrier.advantages([rewards[i : i + size] for i in range(0, len(rewards), size)])
        flat = [a for group in by_group for a in group]
        scored_only = [0.0 if math.isnan(r) else a for a, r in zip(flat, scored.all_rewards, strict=True)]
        count = len(scored.examples)
        return torch.tensor(scored_only[index * count : (index + 1) * count])


def merged(outcomes: Sequence[Outcome]) -> Outcome:
    """Rows and replayed in order, counts summed."""
    return Outcome(
        rows=tuple(row for o in outcomes for row in o.rows),
        replayed=tuple(r for o in outcomes for r in o.replayed),
        counts=sum_counts(o.counts for o in outcomes),
    )


def _metrics(reports: Sequence[_Report], scored: Scored, *, rows: int, dummies: int) -> dict[str, float]:
    counts = sum_counts(r.counts for r in reports)
    experience = {k.removeprefix("experience/"): v for k, v in counts.items() if k.startswith("experience/")}
    known = [r for r in scored.all_rewards if not math.isnan(r)]
    phases = sorted({phase for r in reports for phase in r.seconds})
    return {
        "reward/mean": sum(known) / len(known) if known else math.nan,
        "reward/groups_mixed": counts.pop("groups_mixed") / counts.pop("groups"),
        **counts,
        **{f"experience/{k}": v for k, v in ratios(experience).items()},
        **{f"time_s/{phase}": max(r.seconds.get(phase, 0.0) for r in reports) for phase in phases},
        "rows/real": float(rows),
        "rows/dummy": float(dummies),
    }
