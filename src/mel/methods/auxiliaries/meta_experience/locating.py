"""Who says s*: the steps that something else than the policy's own text names, asked for a batch of pairs at once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from mel.methods.auxiliaries.meta_experience.settings import MetaExperienceSettings
from mel.methods.declaration import Surroundings
from mel.methods.drive import completed, scored, verified
from mel.ports import Requests
from mel.requests import Generate, Score, Verify
from mel.stages.localize import (
    Bisection,
    agreed,
    any_step,
    first_difference,
    least_likely,
    steepest_fall,
    true_step,
)
from mel.stages.novel_value import novel_value
from mel.types import Excerpt, MetaExperience, Pair, Sampling, TokenIds

PHASE = "localize"


def check_localizer(settings: MetaExperienceSettings, at: Surroundings) -> None:
    """Refuses a localizer that the task cannot serve.

    Raises:
        ValueError: the oracle, of a task that does not know true errors.
    """
    if settings.localizer == "oracle" and at.inspector is None:
        raise ValueError(
            "meta_experience.localizer: 'oracle' asks the task for the first wrong step, and this task cannot say; "
            "use another localizer, such as critique, first_difference or random"
        )


def given_steps(
    pairs: Sequence[Pair], settings: MetaExperienceSettings, at: Surroundings, *, step: int, counts: Counter[str]
) -> Requests[list[int | None]]:
    """The given s* of each pair; None where the localizer finds none. The policy states its own: None for all.

    Args:
        step: of the optimizer; seeds what is drawn.
    """
    localizer = settings.localizer
    if localizer in ("likelihood", "least_likely"):
        return (yield from _by_likelihood(pairs, at, is_fall=localizer == "likelihood"))
    if localizer == "monte_carlo":
        return (yield from _by_continuations(pairs, settings, at, counts))
    if localizer == "random":
        return [any_step(p, random.Random(f"{at.seed}:{step}:{p.problem.id}:{p.wrong_index}")) for p in pairs]
    if localizer == "oracle" and at.inspector is not None:
        return [true_step(pair, at.inspector) for pair in pairs]
    return [novel_value(pair) if localizer == "novel_value" else first_difference(pair) for pair in pairs]


def confirmed(experience: MetaExperience, pair: Pair, shown: Excerpt) -> MetaExperience:
    """The experience about the step that critique and free localizers agree on, among those that were shown."""
    found = (first_difference(pair), novel_value(pair))
    free = [step if step in shown.wrong else None for step in found]
    return replace(experience, bifurcation=agreed(experience.bifurcation, *free))


def _by_likelihood(pairs: Sequence[Pair], at: Surroundings, *, is_fall: bool) -> Requests[list[int | None]]:
    wrong = tuple(pair.wrong.token_ids for pair in pairs)
    alone = tuple(pair.group.prompt_ids for pair in pairs)
    beside = tuple(_after_right(pair, at) for pair in pairs) if is_fall else ()
    logps = yield from scored(
        Score(contexts=alone + beside, targets=wrong * (2 if is_fall else 1), phase=PHASE),
    )
    if not is_fall:
        return [least_likely(pair, found, at.tokenizer) for pair, found in zip(pairs, logps, strict=True)]
    known = zip(pairs, logps[: len(pairs)], logps[len(pairs) :], strict=True)
    return [steepest_fall(pair, before, after, at.tokenizer) for pair, before, after in known]


def _after_right(pair: Pair, at: Surroundings) -> TokenIds:
    """x solved by y+, and x asked once more."""
    asked = {"role": "user", "content": at.prompts.solve(pair.problem.text)}
    return at.tokenizer.chat([asked, {"role": "assistant", "content": pair.right.text}, asked])


def _by_continuations(
    pairs: Sequence[Pair], settings: MetaExperienceSettings, at: Surroundings, counts: Counter[str]
) -> Requests[list[int | None]]:
    """As many rounds in every batch, for hosts count on the same requests; a search that is done asks for nothing."""
    searches = [Bisection(sound=0, lost=len(pair.wrong_steps)) for pair in pairs]
    for _ in range(settings.localize_rounds):
        live = [i for i, search in enumerate(searches) if search.probe is not None]
        rates = yield from _success_rates([(pairs[i], searches[i].probe or 0) for i in live], settings, at)
        for i, rate in zip(live, rates, strict=True):
            searches[i] = searches[i].told(rate, pairs[i].group.pass_rate)
    open_ = sum(search.probe is not None for search in searches)
    counts.update({"unresolved": open_} if open_ else {})
    return [search.step if pair.wrong_steps else None for pair, search in zip(pairs, searches, strict=True)]


def _success_rates(
    probes: Sequence[tuple[Pair, int]], settings: MetaExperienceSettings, at: Surroundings
) -> Requests[list[float]]:
    """Share of right continuations of y- from the end of a step, per probe."""
    n, tokenizer = settings.localize_samples, at.tokenizer
    kept = [_until(pair, number, at) for pair, number in probes for _ in range(n)]
    problems = [pair for pair, _ in probes for _ in range(n)]
    prompts = tuple(pair.group.prompt_ids + ids for pair, ids in zip(problems, kept, strict=True))
    limit = settings.replay_max_tokens or at.rollout_max_tokens
    sampling = Sampling(max_tokens=limit, temperature=settings.replay_temperature)
    completions = yield from completed(Generate(prompts=prompts, sampling=sampling, phase=PHASE))
    responses = tuple(tokenizer.decode(ids + c.token_ids) for ids, c in zip(kept, completions, strict=True))
    verdicts = yield from verified(Verify(problems=tuple(p.problem for p in problems), responses=responses))
    return [sum(v.is_correct for v in verdicts[i : i + n]) / n for i in range(0, len(verdicts), n)]


def _until(pair: Pair, number: int, at: Surroundings) -> TokenIds:
    ids = pair.wrong.token_ids
    return ids[: at.tokenizer.token_index(ids, pair.wrong_steps[number - 1].end)]
