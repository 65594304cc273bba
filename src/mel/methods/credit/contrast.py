"""Contrastive credit: tokens that a right peer makes likelier than a wrong one count more (CEPO, RLCSD, HSD)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from mel.methods.declaration import CreditSettings, Surroundings
from mel.methods.drive import scored
from mel.methods.needs import Limits, Longest, Needs
from mel.ports import Credit, Logprobs, Requests
from mel.prompts.ask import ask_about
from mel.requests import Score
from mel.stages.contrast import Form, Peers, evidence, peers_of, shifted, weighted, with_mean
from mel.types import Group, Outcome, Rollout, TokenIds

PHASE = "contrast"


class ContrastSettings(CreditSettings):
    """How evidence is read and how it changes advantages; one forward pass over the rollouts, none generated."""

    name: ClassVar[str] = "contrast"
    prompts: ClassVar[tuple[str, ...]] = ("peer",)
    belongs_to: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = {
        **dict.fromkeys(("mixing", "clip"), ("form", ("cepo",))),
        **dict.fromkeys(("strength", "tau", "threshold"), ("form", ("rlcsd",))),
        "wrong_peers": ("against", ("wrong",)),
    }

    form: Form = Field(
        default="cepo", description="cepo: advantages are multiplied (2605.19436). rlcsd: shifted (2606.11709)."
    )
    against: Literal["wrong", "none"] = Field(
        default="wrong",
        description="wrong: evidence is the right peer's log-probability minus the wrong peers'. none: minus that "
        "without any peer, one-sided as in self-distillation from a successful peer (HSD, 2606.15576).",
    )
    wrong_peers: int = Field(default=1, ge=1, description="Wrong peers at most, averaged over (RLCSD: 4).")
    mixing: float = Field(default=0.5, ge=0, le=1, description="cepo: share of the weight that evidence decides.")
    clip: float = Field(default=0.2, ge=0, le=1, description="cepo: weights lie between 1 - clip and 1 + clip.")
    strength: float = Field(default=0.5, ge=0, description="rlcsd: largest shift of an advantage.")
    tau: float = Field(default=0.02, gt=0, description="rlcsd: nats at which a shift saturates.")
    threshold: float = Field(default=0.02, ge=0, description="rlcsd: smaller shifts are left out.")
    keep_mean: bool = Field(
        default=True, description="The mean advantage of a rollout stays what it was (papers: it may drift)."
    )

    def build(self, at: Surroundings | None) -> Credit:
        return Contrast(self, self.surroundings(at))

    def needs(self, limits: Limits) -> Needs:
        """A rollout after the problem with a whole peer in it; nothing is generated."""
        longest = Longest(
            phase=PHASE,
            prompt=limits.prompt + limits.instruction + limits.completion,
            completion=limits.completion,
            knob="settings.form",
            per_group=limits.rollouts * (1 + (self.wrong_peers if self.against == "wrong" else 1)),
        )
        return Needs(scored=(longest,))


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A rollout that has peers, and the contexts in which it is read: after the right one, then the others."""

    rollout: Rollout
    contexts: tuple[TokenIds, ...]


class Contrast:
    """The carrier's advantages, told apart by token; those of a rollout without a right and a wrong peer stay."""

    name = ContrastSettings.name

    def __init__(self, settings: ContrastSettings, at: Surroundings) -> None:
        self.settings = settings
        self._at = at

    def assign(
        self, groups: Sequence[Group], advantages: Sequence[Sequence[float]], outcomes: Mapping[str, Outcome]
    ) -> Requests[list[list[list[float]]] | None]:
        readings = [[self._reading(group, i) for i in range(len(group.rollouts))] for group in groups]
        asked = [reading for of_group in readings for reading in of_group if reading is not None]
        request = Score(
            contexts=tuple(context for reading in asked for context in reading.contexts),
            targets=tuple(reading.rollout.token_ids for reading in asked for _ in reading.contexts),
            phase=PHASE,
        )
        logps = iter((yield from scored(request)))
        return [
            [
                self._told_apart(rollout, advantage, reading, logps)
                for rollout, advantage, reading in zip(group.rollouts, of_group, of_readings, strict=True)
            ]
            for group, of_group, of_readings in zip(groups, advantages, readings, strict=True)
        ]

    def _reading(self, group: Group, position: int) -> Reading | None:
        rng = random.Random(f"{self._at.seed}:{group.problem.id}:{position}")
        peers = peers_of(group, position, most_wrong=self.settings.wrong_peers, rng=rng)
        if peers is None:
            return None
        rollout = group.rollouts[position]
        return Reading(rollout=rollout, contexts=tuple(self._contexts(group, rollout, peers)))

    def _contexts(self, group: Group, rollout: Rollout, peers: Peers) -> Iterator[TokenIds]:
        yield self._after(group, peers.right)
        if self.settings.against == "none":
            yield group.prompt_ids if rollout.context_ids is None else rollout.context_ids
        else:
            yield from (self._after(group, wrong) for wrong in peers.wrong)

    def _after(self, group: Group, peer: int) -> TokenIds:
        """The problem with that peer's solution in view; right and wrong ones are shown by the same words."""
        turn = self._at.prompts.turn("peer", problem=group.problem.text, solution=group.rollouts[peer].text)
        return ask_about(group, turn, self._at.tokenizer)

    def _told_apart(
        self, rollout: Rollout, advantage: float, reading: Reading | None, logps: Iterator[Logprobs]
    ) -> list[float]:
        s = self.settings
        if reading is None:
            return [advantage] * len(rollout.token_ids)
        right, *others = [next(logps) for _ in reading.contexts]
        found = evidence(right, others)
        if s.form == "cepo":
            values = weighted(advantage, found, mixing=s.mixing, clip=s.clip)
        else:
            values = shifted(advantage, found, strength=s.strength, tau=s.tau, threshold=s.threshold)
        return with_mean(values, advantage) if s.keep_mean else values
