"""What can be chosen about meta-experience learning; every field is a recipe field with the paper's value named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from mel.stages.internalize import ALLOWED, Context, Target
from mel.stages.pairs import Choose
from mel.stages.replay import Accept, Start

Guard = Literal["count", "reject"]
LongPairs = Literal["drop", "cut"]
Filter = Literal["replay", "none", "shuffled"]


@dataclass(frozen=True, kw_only=True, slots=True)
class MetaExperienceSettings:
    """Fields and their defaults (the recipe `recommended`: bifurcation replay).

    Args:
        pairs_per_group: at most this many pairs per mixed group (paper: 1).
        choose: which pairs, see `mel.stages.pairs` (paper: random).
        construct_max_tokens: limit of the text that holds M.
        construct_temperature: 0 is greedy (paper: 1, sampled from the policy).
        max_pair_tokens: longest construction prompt in tokens; None: no limit.
        long_pairs: what becomes of a pair whose prompt is longer, counted either way. `drop`: no experience of it.
            `cut`: the prompt shows as much of both solutions as fits, see `mel.stages.excerpt`.
        guard: leaks of the answer are always counted; `reject` keeps them from replay (paper: count).
        replay_from: `start`: solve x with M (paper). `bifurcation`: continue y- from just before s* with M.
        replay_samples: attempts per candidate (paper: 1).
        replay_max_tokens: limit of one attempt; None: that of the rollouts.
        replay_temperature: as the rollouts' in the paper (1).
        accept: see `mel.stages.replay.judge` (paper: right).
        margin: by how much `uplift` must beat the group's pass rate, 0 to 1.
        filter: `replay` (paper), or a control. `none`: every parsed candidate is learned, no replay is made.
            `shuffled`: each is replayed, and judged, with the experience of a candidate about another problem.
        target: what is trained (paper: experience).
        context: in which context (paper: retrospective).
    """

    pairs_per_group: int = 2
    choose: Choose = "random"
    construct_max_tokens: int = 1024
    construct_temperature: float = 0.0
    max_pair_tokens: int | None = None
    long_pairs: LongPairs = "drop"
    guard: Guard = "count"
    replay_from: Start = "bifurcation"
    replay_samples: int = 1
    replay_max_tokens: int | None = None
    replay_temperature: float = 1.0
    accept: Accept = "right"
    margin: float = 0.0
    filter: Filter = "replay"
    target: Target = "step"
    context: Context = "prefix"

    def __post_init__(self) -> None:
        for field, kind in _CHOICES.items():
            value = getattr(self, field)
            if value not in get_args(kind):
                raise ValueError(f"meta_experience.{field}: expected one of {list(get_args(kind))}, got {value!r}")
        for field, least in _LEAST.items():
            _check_number(field, getattr(self, field), least)
        if not self.margin <= 1:
            raise ValueError(f"meta_experience.margin: expected a difference of rates, 0 to 1, got {self.margin}")
        if self.context not in ALLOWED[self.target]:
            raise ValueError(
                f"meta_experience: target {self.target!r} is trained in context {' or '.join(ALLOWED[self.target])}; "
                f"got context {self.context!r}"
            )
        if self.context == "prefix" and self.replay_from != "bifurcation":
            raise ValueError(
                "meta_experience: context 'prefix' continues y- before s*; set replay_from: bifurcation "
                f"(got {self.replay_from!r})"
            )
        if self.filter == "none" and self.target in ("step", "solution"):
            raise ValueError(
                f"meta_experience: filter 'none' makes no replay, and target {self.target!r} is taken from one; "
                "train the experience or the heuristic, or keep filter: replay"
            )


def _check_number(field: str, value: object, least: int) -> None:
    if value is None and field in _OPTIONAL:
        return
    kinds = (int, float) if field in _REAL else int
    if isinstance(value, bool) or not isinstance(value, kinds) or not value >= least:
        what = "number" if field in _REAL else "whole number"
        raise ValueError(f"meta_experience.{field}: expected a {what} of at least {least}, got {value!r}")


_LEAST = {
    "pairs_per_group": 1,
    "construct_max_tokens": 1,
    "construct_temperature": 0,
    "max_pair_tokens": 1,
    "replay_samples": 1,
    "replay_max_tokens": 1,
    "replay_temperature": 0,
    "margin": 0,
}
_REAL = ("construct_temperature", "replay_temperature", "margin")
_OPTIONAL = ("max_pair_tokens", "replay_max_tokens")

_CHOICES = {
    "choose": Choose,
    "long_pairs": LongPairs,
    "guard": Guard,
    "replay_from": Start,
    "accept": Accept,
    "filter": Filter,
    "target": Target,
    "context": Context,
}

PAPER = {
    "pairs_per_group": 1,
    "construct_temperature": 1.0,
    "replay_from": "start",
    "target": "experience",
    "context": "retrospective",
}
"""The paper's point as changes to the defaults; its weight, lambda = 1, is the host's `weight` setting."""
