"""Attempts anew: from the start and from before the wrong step, with each kind of note and without any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mel.methods.attempts import Start, success_rates
from mel.methods.declaration import Surroundings
from mel.methods.location import before_step
from mel.methods.probe.noting import Noted
from mel.methods.probe.setting import ProbeSetting
from mel.ports import Noting, Requests
from mel.stages.localize import first_difference
from mel.stages.replay import replay_prompt, strangers
from mel.types import MetaExperience, TokenIds

Notes = Sequence[MetaExperience | None]


def replay_scores(
    noted: Sequence[Noted], at: Surroundings, setting: ProbeSetting
) -> Requests[dict[str, Mapping[str, float]]]:
    """Share of right attempts by where they start and which note they have, per problem.

    Every note is tried from the same place, so that what differs is the note alone: from the true first wrong step
    where the task knows it, else from the s* of the policy's own note, else from the first step that differs.
    """
    cuts = [_cut(item) for item in noted]
    scores: dict[str, Mapping[str, float]] = {}
    for start in ("start", "bifurcation"):
        for name, notes in _kinds(noted, setting.noting).items():
            tried = [(item, cut, note) for item, cut, note in zip(noted, cuts, notes, strict=True) if cut is not None]
            chosen = [
                (item, before_step(item.pair, cut, at) if start == "bifurcation" else (), note)
                for item, cut, note in tried
                if note is not None or name == "none"
            ]
            phase = f"replay from the {start}, {_WORDS[name]}"
            scores[f"replay_{start}_{name}"] = yield from _succeed(chosen, at, setting, phase)
    return scores


_WORDS = {
    "none": "no note",
    "own": "its own note",
    "other": "another problem's note",
    "true": "the true note",
    "false": "a false note",
}


def _cut(item: Noted) -> int | None:
    known = item.error or (item.note.bifurcation if item.note is not None else first_difference(item.pair))
    return None if known is None else min(known, len(item.pair.wrong_steps))


def _kinds(noted: Sequence[Noted], task: Noting | None) -> dict[str, Notes]:
    own = [item.note for item in noted]
    kinds: dict[str, Notes] = {"none": [None] * len(noted), "own": own}
    if task is not None:
        kinds["true"] = [task.note(item.pair.problem, item.pair.wrong.text) for item in noted]
        kinds["false"] = [task.note(item.pair.problem, item.pair.wrong.text, is_true=False) for item in noted]
    kinds["other"] = _of_others(noted, own if sum(note is not None for note in own) > 1 else kinds.get("true", own))
    return kinds


def _of_others(noted: Sequence[Noted], notes: Notes) -> Notes:
    """For each pair the note of another problem, each shown once."""
    live = {
        i: (item.pair.problem.id, note)
        for i, (item, note) in enumerate(zip(noted, notes, strict=True))
        if note is not None
    }
    shown = dict(zip(live, strangers([*live.values()]), strict=True))
    return [shown.get(i) for i in range(len(noted))]


def _succeed(
    chosen: Sequence[tuple[Noted, TokenIds, MetaExperience | None]], at: Surroundings, setting: ProbeSetting, phase: str
) -> Requests[dict[str, float]]:
    """Share of right attempts by problem; those that would not fit the model's positions are left out."""
    sampling = at.rollout_sampling()
    starts = [
        Start(group=item.pair.group, given=prefix, context_ids=_prompt(item, note, at)) for item, prefix, note in chosen
    ]
    fitting = [start for start in starts if setting.fits(len(start.prompt_ids), sampling.max_tokens)]
    rates = yield from success_rates(fitting, setting.attempts, sampling, phase, at)
    return {start.group.problem.id: rate for start, rate in zip(fitting, rates, strict=True)}


def _prompt(item: Noted, note: MetaExperience | None, at: Surroundings) -> TokenIds:
    group = item.pair.group
    return group.prompt_ids if note is None else replay_prompt(group, note, at.tokenizer, at.prompts)
