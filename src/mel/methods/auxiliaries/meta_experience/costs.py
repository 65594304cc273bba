"""What meta-experience learning can ask for at most, and what it is expected to cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mel.methods.declaration import Assumptions, Expected, Limits, Longest, Needs

if TYPE_CHECKING:
    from mel.methods.auxiliaries.meta_experience.settings import MetaExperienceSettings


def needs(s: MetaExperienceSettings, limits: Limits) -> Needs:
    """The longest construction, replay and row.

    A construction prompt holds the problem and two whole solutions unless `max_pair_tokens` bounds it; a replay
    holds the problem and M, and from the bifurcation the beginning of the wrong solution too. A step is at most a
    whole solution, and never longer with its prefix.
    """
    pair_prompt, attempt = _pair_prompt(s, limits), s.replay_max_tokens or limits.completion
    phases = _localizing(s, limits)
    phases += [
        Longest(
            phase="construct",
            prompt=pair_prompt,
            completion=s.construct_max_tokens,
            knob="settings.max_pair_tokens",
            per_group=s.pairs_per_group,
        )
    ]
    if s.filter != "none":
        kept = limits.completion if s.replay_from == "bifurcation" else 0
        phases.append(
            Longest(
                phase="replay",
                prompt=limits.prompt + limits.instruction + s.construct_max_tokens + kept,
                completion=attempt,
                knob="settings.replay_max_tokens",
                per_group=s.pairs_per_group * s.replay_samples,
            )
        )
    is_written = s.target in ("experience", "heuristic")
    context, target = {
        "retrospective": (pair_prompt, s.construct_max_tokens),
        "question": (limits.prompt, s.construct_max_tokens if is_written else limits.completion),
        "prefix": (limits.prompt, limits.completion + attempt),
    }[s.context]
    row = Longest(
        phase="row",
        prompt=context,
        completion=target,
        knob="settings.max_pair_tokens",
        per_group=s.pairs_per_group,
    )
    return Needs(phases=tuple(phases), row=row)


def _localizing(s: MetaExperienceSettings, limits: Limits) -> list[Longest]:
    """Continuations of y- from anywhere, all that are probed in one round."""
    if s.localizer != "monte_carlo":
        return []
    return [
        Longest(
            phase="localize",
            prompt=limits.prompt + limits.completion,
            completion=s.replay_max_tokens or limits.completion,
            knob="settings.replay_max_tokens",
            per_group=s.pairs_per_group * s.localize_samples,
        )
    ]


def _pair_prompt(s: MetaExperienceSettings, limits: Limits) -> int:
    whole = limits.prompt + limits.instruction + 2 * limits.completion
    return whole if s.max_pair_tokens is None else min(whole, s.max_pair_tokens)


def expected(s: MetaExperienceSettings, at: Assumptions) -> Expected:
    """Per group: pairs of the mixed ones are contrasted, what parses is replayed, what is kept is learned."""
    solution, experience = at.solution_tokens, min(at.experience_tokens, s.construct_max_tokens)
    pairs = at.mixed_share * s.pairs_per_group
    candidates = pairs * at.parsed_share
    replays = 0.0 if s.filter == "none" else candidates * s.replay_samples
    rows = candidates * (1.0 if s.filter == "none" else at.kept_share)
    prefix = at.prefix_share * solution if s.replay_from == "bifurcation" else 0.0
    attempt = min(solution - prefix, s.replay_max_tokens or solution)
    pair_prompt = at.prompt_tokens + 2 * solution
    target = {
        "experience": experience,
        "heuristic": experience / 3,
        "step": solution / at.steps,
        "solution": attempt if s.context == "prefix" else solution,
    }[s.target]
    context = {
        "retrospective": pair_prompt,
        "question": at.prompt_tokens,
        "prefix": at.prompt_tokens + prefix,
    }[s.context]
    probes = pairs * s.localize_samples * min(s.localize_rounds, math.ceil(math.log2(max(at.steps, 1.0))))
    localizing = {"localize": probes} if s.localizer == "monte_carlo" else {}
    half = solution / 2  # probes lie in the middle on average
    return Expected(
        generated={phase: n * half for phase, n in localizing.items()}
        | {"construct": pairs * experience, "replay": replays * attempt},
        read=sum(localizing.values()) * (at.prompt_tokens + half)
        + pairs * pair_prompt
        + replays * (at.prompt_tokens + experience + prefix),
        rows=rows,
        row_tokens=rows * target,
        row_context=rows * context,
        sequences=localizing | {"construct": pairs, "replay": replays},
    )
