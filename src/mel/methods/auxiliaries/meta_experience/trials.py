"""Trials: the replays of a batch of candidates, asked for in one request and put back to their candidates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mel.methods.auxiliaries.meta_experience.ledger import truth_of
from mel.methods.auxiliaries.meta_experience.settings import MetaExperienceSettings
from mel.methods.declaration import Surroundings
from mel.methods.drive import completed, verified
from mel.ports import Requests
from mel.requests import Generate, Verify
from mel.stages.replay import judge, rejected, replay_prefix, replay_prompt, sibling, strangers
from mel.types import Candidate, Completion, Group, MetaExperience, Replayed, Sampling, TokenIds, Verdict

PHASE = "replay"

T = TypeVar("T")

Answers = tuple[tuple[Completion, ...], tuple[str, ...], tuple[Verdict, ...]]
"""What came back for one trial: an entry per sample."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One candidate on its way through replay.

    Args:
        candidate: whom the result is about.
        refusal: why it is not replayed; empty if it is.
        on: the group whose problem is solved, if not the candidate's own.
        prefix_ids: tokens of y- that the replay keeps.
        prompt_ids: what the replay is sampled from, before the prefix; empty if it is not replayed.
    """

    candidate: Candidate
    refusal: str = ""
    on: Group | None = None
    prefix_ids: TokenIds = ()
    prompt_ids: TokenIds = ()

    @property
    def group(self) -> Group:
        return self.on or self.candidate.pair.group


def replayed(
    candidates: Sequence[Candidate], groups: Sequence[Group], settings: MetaExperienceSettings, at: Surroundings
) -> Requests[list[Replayed]]:
    """What became of each candidate, in order (eq. 6).

    Args:
        groups: of this batch and rank, among them those of the candidates.
    """
    sampling = Sampling(
        max_tokens=settings.replay_max_tokens or at.rollout_max_tokens, temperature=settings.replay_temperature
    )
    if settings.filter == "none":
        # Asked for all the same: hosts count on the same requests in every step.
        yield from completed(Generate(prompts=(), sampling=sampling, phase=PHASE))
        return [_unfiltered(c, settings, at) for c in candidates]
    n = settings.replay_samples
    trials = trials_of(candidates, groups, settings, at)
    live = [trial for trial in trials if not trial.refusal for _ in range(n)]
    prompts = tuple(trial.prompt_ids + trial.prefix_ids for trial in live)
    completions = yield from completed(Generate(prompts=prompts, sampling=sampling, phase=PHASE))
    responses = tuple(
        at.tokenizer.decode(trial.prefix_ids + c.token_ids) for trial, c in zip(live, completions, strict=True)
    )
    problems = tuple(trial.group.problem for trial in live)
    verdicts = yield from verified(Verify(problems=problems, responses=responses))
    answers = iter(zip(by_trial(completions, n), by_trial(responses, n), by_trial(verdicts, n), strict=True))
    return [_judged(trial, answers, settings, at) for trial in trials]


def trials_of(
    candidates: Sequence[Candidate], groups: Sequence[Group], settings: MetaExperienceSettings, at: Surroundings
) -> list[Trial]:
    """One trial per candidate, in order, each with the experience to replay it with: its own, unless shuffled."""
    live = [c for c in candidates if not refusal_of(c, settings)]
    own = [(c.pair.problem.id, c.experience) for c in live]
    shown = iter(strangers(own) if settings.filter == "shuffled" else [experience for _, experience in own])
    return [_trial(c, refusal_of(c, settings), shown, groups, settings, at) for c in candidates]


def refusal_of(candidate: Candidate, settings: MetaExperienceSettings) -> str:
    """Why a candidate is not replayed; empty if it is."""
    leaks = candidate.states_answer and settings.guard == "reject"
    return candidate.failure or ("states_answer" if leaks else "")


def _trial(
    candidate: Candidate,
    refusal: str,
    shown: Iterator[MetaExperience | None],
    groups: Sequence[Group],
    settings: MetaExperienceSettings,
    at: Surroundings,
) -> Trial:
    experience: MetaExperience | None = None if refusal else next(shown)
    if experience is None:
        return Trial(candidate=candidate, refusal=refusal or "no_other_problem")
    on = sibling(candidate.pair.group, groups) if settings.replay_on == "sibling" else None
    if on is None and settings.replay_on == "sibling":
        return Trial(candidate=candidate, refusal="no_sibling")
    group = on or candidate.pair.group
    return Trial(
        candidate=candidate,
        on=on,
        prefix_ids=replay_prefix(candidate, at.tokenizer, start=settings.replay_from),
        prompt_ids=(
            group.prompt_ids
            if settings.filter == "no_note"
            else replay_prompt(group, experience, at.tokenizer, at.prompts)
        ),
    )


def _judged(trial: Trial, answers: Iterator[Answers], settings: MetaExperienceSettings, at: Surroundings) -> Replayed:
    truth = truth_of(trial.candidate, at.inspector)
    if trial.refusal:
        return rejected(trial.candidate, trial.refusal, truth=truth)
    completions, responses, verdicts = next(answers)
    return judge(
        trial.candidate,
        trial.prefix_ids,
        completions,
        responses,
        verdicts,
        accept=settings.accept,
        margin=settings.margin,
        truth=truth,
        prompt_ids=trial.prompt_ids,
        on=trial.on,
    )


def _unfiltered(candidate: Candidate, settings: MetaExperienceSettings, at: Surroundings) -> Replayed:
    refusal = refusal_of(candidate, settings)
    truth = truth_of(candidate, at.inspector)
    if refusal:
        return rejected(candidate, refusal, truth=truth)
    return Replayed(candidate=candidate, prefix_ids=(), attempts=(), is_kept=True, reason="kept", truth=truth)


def by_trial(answers: Sequence[T], samples: int) -> list[tuple[T, ...]]:
    """Answers in the order of their trials, `samples` for each."""
    return [tuple(answers[start : start + samples]) for start in range(0, len(answers), samples)]
