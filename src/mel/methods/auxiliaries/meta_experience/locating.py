"""Who says s*: the steps that something else than the policy's own text names, asked for a batch of pairs at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from mel.methods.attempts import Start, success_rates
from mel.methods.auxiliaries.meta_experience.settings import MetaExperienceSettings
from mel.methods.declaration import Surroundings
from mel.methods.location import located, through_step
from mel.ports import Requests
from mel.stages.localize import Bisection, agreed, first_difference
from mel.stages.novel_value import novel_value
from mel.types import Excerpt, MetaExperience, Pair, Sampling

PHASE = "localize"


def given_steps(
    pairs: Sequence[Pair], settings: MetaExperienceSettings, at: Surroundings, *, step: int, counts: Counter[str]
) -> Requests[list[int | None]]:
    """The given s* of each pair; None where the localizer finds none.

    Args:
        step: of the optimizer; seeds what is drawn.
    """
    if settings.localizer == "monte_carlo":
        return (yield from _by_continuations(pairs, settings, at, counts))
    return (yield from located(pairs, settings.localizer, at, step=step, phase=PHASE))


def confirmed(experience: MetaExperience, pair: Pair, shown: Excerpt) -> MetaExperience:
    """The experience about the step that critique and free localizers agree on, among those that were shown."""
    found = (first_difference(pair), novel_value(pair))
    free = [step if step in shown.wrong else None for step in found]
    return replace(experience, bifurcation=agreed(experience.bifurcation, *free))


def _by_continuations(
    pairs: Sequence[Pair], settings: MetaExperienceSettings, at: Surroundings, counts: Counter[str]
) -> Requests[list[int | None]]:
    """As many rounds in every batch, for hosts count on the same requests; a search that is done asks for nothing."""
    limit = settings.replay_max_tokens or at.rollout_max_tokens
    sampling = Sampling(max_tokens=limit, temperature=settings.replay_temperature)
    searches = [Bisection(sound=0, lost=len(pair.wrong_steps)) for pair in pairs]
    for _ in range(settings.localize_rounds):
        probes = {i: search.probe for i, search in enumerate(searches) if search.probe is not None}
        starts = [Start(group=pairs[i].group, given=through_step(pairs[i], n, at)) for i, n in probes.items()]
        rates = yield from success_rates(starts, settings.localize_samples, sampling, PHASE, at)
        for i, rate in zip(probes, rates, strict=True):
            searches[i] = searches[i].told(rate, pairs[i].group.pass_rate)
    open_ = sum(search.probe is not None for search in searches)
    counts.update({"unresolved": open_} if open_ else {})
    return [search.step if pair.wrong_steps else None for pair, search in zip(pairs, searches, strict=True)]
