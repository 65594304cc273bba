"""Notes: what the policy writes about its own pairs, and which step it and the free localizers blame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from mel.methods.auxiliaries.meta_experience.construction import Construction, construction
from mel.methods.auxiliaries.meta_experience.locating import given_steps
from mel.methods.auxiliaries.meta_experience.settings import MetaExperienceSettings
from mel.methods.auxiliaries.meta_experience.writing import candidates_of
from mel.methods.declaration import Surroundings
from mel.methods.probe.setting import ProbeSetting
from mel.ports import Requests
from mel.stages.localize import Localizer
from mel.types import Candidate, MetaExperience, Pair

FREE: tuple[Localizer, ...] = ("first_difference", "novel_value")
"""Localizers that need nothing but the two texts."""

SCORED: tuple[Localizer, ...] = ("least_likely", "likelihood")
"""Localizers that need log-probabilities, and no token."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted:
    """The policy's own note about one pair.

    Args:
        note: None if none can be parsed.
        error: the true first wrong step; None where nobody knows.
    """

    pair: Pair
    note: MetaExperience | None
    error: int | None


def noted(pairs: Sequence[Pair], at: Surroundings, setting: ProbeSetting) -> Requests[tuple[list[Noted], dict]]:
    """The policy's note about each pair, written as a run would, and all figures about notes and steps."""
    errors = [at.inspector.first_error(p.problem, p.wrong.text) if at.inspector else None for p in pairs]
    known = [(pair, error) for pair, error in zip(pairs, errors, strict=True) if error is not None]
    true = {pair.problem.id: error for pair, error in known}
    scores: dict[str, Mapping[str, float]] = {}
    own: dict[str, Candidate] = {}
    wanted = setting.construction.construct_temperature
    for suffix, temperature in (("", 0.0), ("_sampled", wanted or at.rollout_temperature or 1.0)):
        settings = setting.construction.model_copy(update={"construct_temperature": temperature})
        written = yield from _written(pairs, settings, at)
        scores |= {f"{name}{suffix}": values for name, values in _of_notes(written, true, at).items()}
        own = written if temperature == wanted else own
    scores |= yield from _localized(known, at, setting)
    scores |= yield from _given(known, at, setting)
    found = [
        Noted(pair=pair, note=own[pair.problem.id].experience if pair.problem.id in own else None, error=error)
        for pair, error in zip(pairs, errors, strict=True)
    ]
    return found, scores


def _written(
    pairs: Sequence[Pair],
    settings: MetaExperienceSettings,
    at: Surroundings,
    steps: Sequence[int | None] | None = None,
) -> Requests[dict[str, Candidate]]:
    """A candidate by the problem's id; pairs that are too long, or whose step nobody names, have none.

    Args:
        steps: given s*; None: as the settings' localizer says.
    """
    if steps is None:
        steps = [None] * len(pairs)
        if settings.is_step_given:
            steps = yield from given_steps(pairs, settings, at, step=1, counts=Counter())
            pairs = [pair for pair, step in zip(pairs, steps, strict=True) if step is not None]
            steps = [step for step in steps if step is not None]
    found = [construction(p, at.tokenizer, at.prompts, settings, step=s) for p, s in zip(pairs, steps, strict=True)]
    asked: list[Construction] = [one for one in found if one is not None]
    candidates = yield from candidates_of(asked, settings, at)
    return {candidate.pair.problem.id: candidate for candidate in candidates}


def _of_notes(written: Mapping[str, Candidate], errors: Mapping[str, int], at: Surroundings) -> dict[str, dict]:
    """Can they be parsed, do they give the answer away, do they blame the true step, is their rule true."""
    parsed = {id_: c.experience for id_, c in written.items() if c.experience is not None}
    rules = {id_: _is_true(written[id_].pair, note, at) for id_, note in parsed.items()}
    return {
        "parsed": {id_: float(c.experience is not None) for id_, c in written.items()},
        "leaks": {id_: float(written[id_].states_answer) for id_ in parsed},
        "located": {id_: float(id_ in parsed and parsed[id_].bifurcation == errors[id_]) for id_ in errors},
        "rule_true": {id_: float(is_true) for id_, is_true in rules.items() if is_true is not None},
    }


def _is_true(pair: Pair, note: MetaExperience, at: Surroundings) -> bool | None:
    return at.inspector.is_true_rule(pair.problem, note.heuristic) if at.inspector is not None else None


def _localized(known: Sequence[tuple[Pair, int]], at: Surroundings, setting: ProbeSetting) -> Requests[dict]:
    """Whether each free localizer names the true step, beside a random step and the best constant one."""
    pairs = [pair for pair, _ in known]
    scores: dict[str, Mapping[str, float]] = {}
    for name in (*FREE, *(SCORED if setting.scores_tokens else ())):
        fitting = [pair for pair in pairs if name in FREE or setting.fits(_beside(pair), 0)]
        settings = setting.construction.model_copy(update={"localizer": name})
        steps = yield from given_steps(fitting, settings, at, step=1, counts=Counter())
        named = {pair.problem.id: step for pair, step in zip(fitting, steps, strict=True)}
        scores[f"located_{name}"] = {
            p.problem.id: float(named[p.problem.id] == e) for p, e in known if p.problem.id in named
        }
    constant = Counter(error for _, error in known).most_common(1)
    scores["located_random"] = {p.problem.id: (e <= len(p.wrong_steps)) / len(p.wrong_steps) for p, e in known}
    scores["located_constant"] = {p.problem.id: float(e == constant[0][0]) for p, e in known}
    return scores


def _beside(pair: Pair) -> int:
    """About the tokens of y- behind x, y+ and x once more: what `likelihood` reads."""
    return 2 * len(pair.group.prompt_ids) + len(pair.right.token_ids) + len(pair.wrong.token_ids)


def _given(known: Sequence[tuple[Pair, int]], at: Surroundings, setting: ProbeSetting) -> Requests[dict]:
    """Whether the rule is true that the policy writes greedily where the true step is given to it."""
    there = [(pair, error) for pair, error in known if error <= len(pair.wrong_steps)]
    settings = setting.construction.model_copy(
        update={"localizer": "oracle", "construct_temperature": 0.0, "construct_calls": 1}
    )
    written = yield from _written([p for p, _ in there], settings, at, [e for _, e in there])
    return {"rule_true_given_step": _of_notes(written, {}, at)["rule_true"]}


def mean(values: Mapping[str, float]) -> float:
    """0 without any."""
    return fmean(values.values()) if values else 0.0
