"""Trials: the replays of a batch of candidates, asked for in one request and put back to their candidates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mel.methods.auxiliaries.meta_experience.settings import MetaExperienceSettings
from mel.methods.declaration import Surroundings
from mel.stages.replay import replay_prefix, replay_prompt, strangers
from mel.types import Candidate, MetaExperience, TokenIds

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One candidate on its way through replay.

    Args:
        candidate: whom the result is about.
        refusal: why it is not replayed; empty if it is.
        prefix_ids: tokens of y- that the replay keeps.
        prompt_ids: what the replay is sampled from, the prefix included; empty if it is not replayed.
    """

    candidate: Candidate
    refusal: str = ""
    prefix_ids: TokenIds = ()
    prompt_ids: TokenIds = ()


def trials_of(candidates: Sequence[Candidate], settings: MetaExperienceSettings, at: Surroundings) -> list[Trial]:
    """One trial per candidate, in order, each with the experience to replay it with: its own, unless shuffled."""
    live = [c for c in candidates if not refusal_of(c, settings)]
    shown = iter(strangers(live) if settings.filter == "shuffled" else [c.experience for c in live])
    return [_trial(c, refusal_of(c, settings), shown, settings, at) for c in candidates]


def refusal_of(candidate: Candidate, settings: MetaExperienceSettings) -> str:
    """Why a candidate is not replayed; empty if it is."""
    leaks = candidate.states_answer and settings.guard == "reject"
    return candidate.failure or ("states_answer" if leaks else "")


def _trial(
    candidate: Candidate,
    refusal: str,
    shown: Iterator[MetaExperience | None],
    settings: MetaExperienceSettings,
    at: Surroundings,
) -> Trial:
    experience: MetaExperience | None = None if refusal else next(shown)
    if experience is None:
        return Trial(candidate=candidate, refusal=refusal or "no_other_problem")
    prefix_ids = replay_prefix(candidate, at.tokenizer, start=settings.replay_from)
    return Trial(
        candidate=candidate,
        prefix_ids=prefix_ids,
        prompt_ids=replay_prompt(candidate.pair.group, experience, prefix_ids, at.tokenizer, at.prompts),
    )


def by_trial(answers: Sequence[T], samples: int) -> list[tuple[T, ...]]:
    """Answers in the order of their trials, `samples` for each."""
    return [tuple(answers[start : start + samples]) for start in range(0, len(answers), samples)]
