"""What meta-experience learning can ask for at most, and what it is expected to cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mel.methods.needs import Assumptions, Expected, Limits, Longest, Needs

if TYPE_CHECKING:
    from mel.methods.auxiliaries.meta_experience.settings import MetaExperienceSettings


def needs(s: MetaExperienceSettings, limits: Limits) -> Needs:
    """The longest construction, replay and row.

    A construction prompt holds the problem and two whole solutions unless `max_pair_tokens` bounds it; a replay
    holds the problem and M, and from the bifurcation the beginning of the wrong solution too. A step is at most a
    whole solution, and never longer with its prefix.
    """
    pair_prompt, attempt = _pair_prompt(s, limits), s.replay_max_tokens or limits.completion
    written = s.construct_calls * s.construct_max_tokens
    phases = _localizing(s, limits)
    phases += [
        Longest(
            phase="construct",
            prompt=pair_prompt + (s.construct_calls - 1) * s.construct_max_tokens,
            completion=s.construct_max_tokens,
            knob="settings.max_pair_tokens",
            completion_knob="settings.construct_max_tokens",
            per_group=s.gather * s.pairs_per_group,
        )
    ]
    if s.filter != "none":
        kept = limits.completion if s.replay_from == "bifurcation" else 0
        phases.append(
            Longest(
                phase="replay",
                prompt=limits.prompt + limits.instruction + written + kept,
                completion=attempt,
                knob="settings.replay_max_tokens",
                per_group=s.gather * s.pairs_per_group * s.replay_samples,
            )
        )
    is_written = s.target not in ("step", "solution")
    context, target = {
        "retrospective": (pair_prompt, written),
        "both": (pair_prompt, written),
        "question": (limits.prompt, written if is_written else limits.completion),
        "prefix": (limits.prompt, limits.completion + attempt),
    }[s.context]
    row = Longest(
        phase="row",
        prompt=context,
        completion=target,
        knob="settings.max_pair_tokens",
        per_group=s.pairs_per_group * (2 if s.context == "both" else 1),
    )
    return Needs(phases=tuple(phases), row=row, scored=tuple(_scored(s, limits)))


def _scored(s: MetaExperienceSettings, limits: Limits) -> list[Longest]:
    """y- whole, and for `likelihood` also behind y+ with the problem before and after it."""
    if s.localizer not in ("likelihood", "least_likely"):
        return []
    beside = limits.prompt + limits.completion if s.localizer == "likelihood" else 0
    return [
        Longest(
            phase="localize",
            prompt=limits.prompt + beside,
            completion=limits.completion,
            knob="settings.localizer",
            per_group=s.pairs_per_group * (2 if beside else 1),
        )
    ]


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
            per_group=s.gather * s.pairs_per_group * s.localize_samples,
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
    is_all = s.filter == "none" or s.objective == "policy_gradient"
    rows = candidates * (1.0 if is_all else at.kept_share) * (2 if s.context == "both" else 1)
    prefix = at.prefix_share * solution if s.replay_from == "bifurcation" else 0.0
    attempt = min(solution - prefix, s.replay_max_tokens or solution)
    note = 0.0 if s.filter == "no_note" else experience
    pair_prompt = at.prompt_tokens + (2 if s.construct_from == "pair" else 1) * solution
    # The second of three calls draws nearly all of M anew, the third H alone.
    drawn = experience * (1.0 if s.construct_calls == 1 else 7 / 3)
    target = {
        "experience": experience,
        "heuristic": experience / 3,
        "heuristic+critique": experience,
        "step": solution / at.steps,
        "solution": attempt if s.context == "prefix" else solution,
    }[s.target]
    context = {
        "retrospective": pair_prompt,
        "both": (pair_prompt + at.prompt_tokens) / 2,
        "question": at.prompt_tokens,
        "prefix": at.prompt_tokens + prefix,
    }[s.context]
    probes = pairs * s.localize_samples * min(s.localize_rounds, math.ceil(math.log2(max(at.steps, 1.0))))
    localizing = {"localize": probes} if s.localizer == "monte_carlo" else {}
    half = solution / 2  # probes lie in the middle on average
    return Expected(
        generated={phase: n * half for phase, n in localizing.items()}
        | {"construct": pairs * drawn, "replay": replays * attempt},
        read=sum(localizing.values()) * (at.prompt_tokens + half)
        + pairs * s.construct_calls * pair_prompt
        + replays * (at.prompt_tokens + note + prefix),
        rows=rows,
        row_tokens=rows * target,
        row_context=rows * context,
        sequences=localizing | {"construct": pairs * s.construct_calls, "replay": replays},
    )
