"""What can be chosen about meta-experience learning; every field is a recipe field with the paper's value named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from mel.methods.auxiliaries.meta_experience import costs, idleness
from mel.methods.declaration import AuxiliarySettings, Surroundings
from mel.methods.needs import Assumptions, Expected, Limits, Needs
from mel.ports import Auxiliary, Tokenizer
from mel.prompts import PromptSet
from mel.stages.internalize import ALLOWED, Context, Objective, Target
from mel.stages.localize import Localizer
from mel.stages.pairs import Choose
from mel.stages.replay import Accept, Start
from mel.types import Divergence, Pair, TokenIds

Guard = Literal["count", "reject"]
LongPairs = Literal["drop", "cut"]
Filter = Literal["replay", "none", "shuffled", "no_note"]
ConstructFrom = Literal["pair", "wrong"]
ReplayOn = Literal["same", "sibling"]
Gate = Literal["open", "quality"]


class MetaExperienceSettings(AuxiliarySettings):
    """Fields and their defaults (the recipe `recommended`: bifurcation replay); `PAPER` holds the paper's."""

    name: ClassVar[str] = "meta_experience"
    label: ClassVar[str] = "MEL"
    namespace: ClassVar[str] = "experience"
    prompts: ClassVar[tuple[str, ...]] = ("construct", "replay")
    keeps_ledger: ClassVar[bool] = True
    rates: ClassVar[Mapping[str, tuple[str, str]]] = {
        "retention": ("kept", "replayed"),
        "parse_rate": ("parsed", "candidates"),
        "leak_rate": ("leaks", "parsed"),
        "replay_success": ("attempts_right", "attempts"),
        "localization": ("located", "locatable"),
        "kept_localization": ("kept_located", "kept_locatable"),
        "rule_truth": ("rules_true", "rules"),
        "kept_rule_truth": ("kept_rules_true", "kept_rules"),
    }
    belongs_to: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = {
        **dict.fromkeys(("localize_samples", "localize_rounds"), ("localizer", ("monte_carlo",))),
        "margin": ("accept", ("uplift",)),
        **dict.fromkeys(("divergence", "top_k"), ("objective", ("distill",))),
        **dict.fromkeys(("gate_retention", "gate_uplift", "gate_decay"), ("gate", ("quality",))),
    }
    words: ClassVar[Mapping[str, tuple[str, str]]] = {
        "retention": ("Retention", "share of replayed experiences that were accepted"),
        "parse_rate": ("Parsed", "share of experiences that could be read"),
        "leak_rate": ("Leaks", "share of experiences that state the final answer"),
        "replay_success": ("Replay success", "share of replays that were right"),
        "localization": ("Localization", "share of experiences whose s* is the true first error"),
        "kept_localization": ("Localization of kept ones", "share whose s* is the true first error"),
        "rule_truth": ("Rule truth", "share of heuristics that are true"),
        "kept_rule_truth": ("Rule truth of kept ones", "share of heuristics that are true"),
    }

    pairs_per_group: int = Field(default=2, ge=1, description="Pairs per mixed group at most (paper: 1).")
    choose: Choose = Field(
        default="random",
        description="Which pairs: random (paper), closest, closest_distinct or shortest_longest; see mel.stages.pairs.",
    )
    localizer: Localizer = Field(
        default="critique",
        description="Who says where y- leaves the right path: critique (paper), agreement, first_difference, "
        "novel_value, likelihood, least_likely, monte_carlo, random or oracle; for all but the first two the policy "
        "writes C and H about the given step.",
    )
    localize_samples: int = Field(default=4, ge=1, description="monte_carlo: continuations per step that is probed.")
    localize_rounds: int = Field(
        default=4, ge=1, description="monte_carlo: rounds of the bisection; n tell 2**n steps apart."
    )
    construct_from: ConstructFrom = Field(
        default="pair", description="What the policy sees: the pair (paper), or y- alone (wrong), a control."
    )
    construct_calls: Literal[1, 3] = Field(
        default=1, description="One call for all of M, parsed (paper's appendix); or three, for s*, C and H in turn."
    )
    construct_max_tokens: int = Field(default=1024, ge=1, description="Limit of the text that holds M, per call.")
    construct_temperature: float = Field(
        default=0.0, ge=0, description="0 is greedy (paper: 1, sampled from the policy)."
    )
    max_pair_tokens: int | None = Field(
        default=None, ge=1, description="Longest construction prompt in tokens; None: no limit."
    )
    long_pairs: LongPairs = Field(
        default="drop",
        description="Pairs whose prompt is longer, counted either way: drop them, or cut both solutions so that it "
        "fits; see mel.stages.excerpt.",
    )
    guard: Guard = Field(
        default="count", description="Experiences that state the answer: count them (paper), or reject them."
    )
    replay_from: Start = Field(
        default="bifurcation",
        description="start: solve x with M (paper). bifurcation: continue y- from just before s* with M.",
    )
    replay_on: ReplayOn = Field(
        default="same",
        description="same: solve the problem that M is about (paper). sibling: the other problem of the batch that "
        "shares most words with it, and that not every rollout solved.",
    )
    replay_samples: int = Field(default=1, ge=1, description="Attempts per candidate (paper: 1).")
    replay_max_tokens: int | None = Field(
        default=None, ge=1, description="Limit of one attempt; None: that of the rollouts."
    )
    replay_temperature: float = Field(default=1.0, ge=0, description="Sampling temperature of replays (paper: 1).")
    accept: Accept = Field(
        default="right", description="Keep iff right (paper), uplift or all; see mel.stages.replay.judge."
    )
    margin: float = Field(
        default=0.0, ge=0, le=1, description="By how much uplift must beat the group's pass rate, 0 to 1."
    )
    filter: Filter = Field(
        default="replay",
        description="replay (paper), or a control. none: every parsed candidate is learned, no replay is made. "
        "shuffled: each is replayed, and judged, with the experience of a candidate about another problem. no_note: "
        "each is replayed, and judged, without any.",
    )
    target: Target = Field(
        default="step",
        description="What is learned: experience (paper), heuristic, heuristic+critique, step or solution.",
    )
    context: Context = Field(
        default="prefix", description="In which context: retrospective (paper), question, both of these, or prefix."
    )
    objective: Objective = Field(
        default="nll",
        description="nll: likelihood of the target (paper). policy_gradient: of every M that was replayed, by how much "
        "it helped. distill: the replay's tokens, towards the policy's own distribution with M before them.",
    )
    divergence: Divergence = Field(
        default="forward_kl", description="distill: forward_kl, reverse_kl or jsd between teacher and policy."
    )
    top_k: int | None = Field(
        default=None, ge=1, description="distill: the teacher's likeliest tokens that are compared; None: all."
    )
    gather: int = Field(
        default=1,
        ge=1,
        description="Generation batches whose pairs are asked about and replayed together, at the last of them "
        "(paper: 1); what they teach is spread over as many batches. Cheaper, and later.",
    )
    gate: Gate = Field(
        default="open",
        description="open: what is kept is trained (paper). quality: only while running means of retention and uplift "
        "reach the bounds below.",
    )
    gate_retention: float = Field(default=0.1, ge=0, le=1, description="quality: least retention.")
    gate_uplift: float = Field(
        default=0.0, ge=-1, le=1, description="quality: least success of replays minus pass rate of their groups."
    )
    gate_decay: float = Field(default=0.9, ge=0, lt=1, description="quality: of the running means, per batch.")

    @model_validator(mode="after")
    def _can_work(self) -> MetaExperienceSettings:
        if self.context not in ALLOWED[self.target]:
            raise ValueError(
                f"target {self.target!r} is trained in context {' or '.join(ALLOWED[self.target])}; "
                f"got context {self.context!r}"
            )
        if self.context == "prefix" and self.replay_from != "bifurcation":
            raise ValueError(
                f"context 'prefix' continues y- before s*; set replay_from: bifurcation (got {self.replay_from!r})"
            )
        if self.replay_on == "sibling" and self.replay_from != "start":
            raise ValueError(
                f"replay_on 'sibling' solves another problem, where y- has no place; set replay_from: start "
                f"(got {self.replay_from!r})"
            )
        if self.filter == "none" and self.target in ("step", "solution"):
            raise ValueError(
                f"filter 'none' makes no replay, and target {self.target!r} is taken from one; "
                "train the experience or the heuristic, or keep filter: replay"
            )
        if self.filter == "none" and self.gate == "quality":
            raise ValueError(
                "gate 'quality' reads the verdicts of replays, and filter 'none' makes none: keep filter: replay, or "
                "leave the gate open"
            )
        return self

    @model_validator(mode="after")
    def _objective_fits(self) -> MetaExperienceSettings:
        if self.objective == "distill" and self.target not in ("step", "solution"):
            raise ValueError(
                f"objective 'distill' learns the tokens of a replay; set target: step or solution (got {self.target!r})"
            )
        if self.objective == "distill" and self.filter == "no_note":
            raise ValueError("objective 'distill' needs a teacher with a note, and filter 'no_note' shows none")
        if self.objective != "policy_gradient":
            return self
        if (self.target, self.context) != ("experience", "retrospective"):
            raise ValueError(
                "objective 'policy_gradient' rates M where it was sampled; set target: experience and context: "
                f"retrospective (got {self.target!r} and {self.context!r})"
            )
        if self.construct_temperature == 0 or self.construct_calls != 1:
            raise ValueError(
                "objective 'policy_gradient' needs M as one sample: expected construct_temperature above 0, best that "
                f"of the rollouts, and construct_calls 1; got {self.construct_temperature} and {self.construct_calls}"
            )
        if self.gather > 1:
            raise ValueError(
                f"objective 'policy_gradient' learns M in the step that sampled it; set gather: 1 (got {self.gather})"
            )
        if self.filter == "none":
            raise ValueError("objective 'policy_gradient' rates M by its replay, and filter 'none' makes none")
        return self

    @property
    def is_step_given(self) -> bool:
        """Whether s* is known before the policy writes about the pair."""
        return self.localizer not in ("critique", "agreement")

    @property
    def gathers(self) -> int:
        return self.gather

    @property
    def compares_groups(self) -> bool:
        return self.filter == "shuffled" or self.replay_on == "sibling"

    @classmethod
    def idle(cls, counts: Mapping[str, float]) -> Mapping[str, str] | None:
        return idleness.idle(counts)

    def writing_context(self, pair: Pair, step: int | None, *, tokenizer: Tokenizer, prompts: PromptSet) -> TokenIds:
        """C_retro as tokens (eq. 7)."""
        from mel.methods.auxiliaries.meta_experience.construction import construction

        given = step if self.is_step_given else None
        found = construction(pair, tokenizer, prompts, self, step=given)
        return () if found is None else found.context_ids

    def build(self, at: Surroundings) -> Auxiliary:
        from mel.methods.auxiliaries.meta_experience.learner import MetaExperienceLearning

        return MetaExperienceLearning(self, at)

    def needs(self, limits: Limits) -> Needs:
        return costs.needs(self, limits)

    def expected(self, at: Assumptions) -> Expected:
        return costs.expected(self, at)


PAPER: dict[str, Any] = {
    "pairs_per_group": 1,
    "construct_temperature": 1.0,
    "replay_from": "start",
    "target": "experience",
    "context": "retrospective",
}
"""The paper's point as changes to the defaults; its weight, lambda = 1, is the host's `weight` setting."""
