"""Recovery gain and hint reliance: two successes that differ in one thing, by attempts made for the comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from mel.methods.declaration import Surroundings
from mel.methods.diagnostics.cases import Hinted, Located
from mel.methods.drive import completed, verified
from mel.methods.location import before_step, through_step
from mel.ports import Requests
from mel.requests import Generate, Verify
from mel.types import Group, TokenIds

Start = tuple[Group, TokenIds]
"""A group and the tokens of one of its solutions that an attempt continues."""


def successes(starts: Sequence[Start], at: Surroundings, *, samples: int, phase: str) -> Requests[list[float]]:
    """Share of right attempts at each start, 0 to 1, sampled as rollouts are."""
    asked = [start for start in starts for _ in range(samples)]
    prompts = tuple(group.prompt_ids + prefix for group, prefix in asked)
    sampling = at.rollout_sampling()
    completions = yield from completed(Generate(prompts=prompts, sampling=sampling, phase=phase))
    responses = tuple(
        at.tokenizer.decode(prefix + c.token_ids) for (_, prefix), c in zip(asked, completions, strict=True)
    )
    problems = tuple(group.problem for group, _ in asked)
    verdicts = yield from verified(Verify(problems=problems, responses=responses))
    return [sum(v.is_correct for v in verdicts[i : i + samples]) / samples for i in range(0, len(verdicts), samples)]


def recovery_counts(
    cases: Sequence[Located], at: Surroundings, *, samples: int, phase: str
) -> Requests[Mapping[str, float]]:
    """Success of continuing each wrong solution from before s* and from behind it, summed over the solutions."""
    starts = [(case.pair.group, before_step(case.pair, case.step, at)) for case in cases]
    starts += [(case.pair.group, through_step(case.pair, case.step, at)) for case in cases]
    found = yield from successes(starts, at, samples=samples, phase=phase)
    n = len(cases)
    return Counter({"recovery/pairs": n, "recovery/before": sum(found[:n]), "recovery/after": sum(found[n:])})


def hint_counts(
    cases: Sequence[Hinted], at: Surroundings, *, samples: int, phase: str
) -> Requests[Mapping[str, float]]:
    """Success of the attempts with what they were given and of attempts without, summed over the cases.

    Without it, an attempt from the start is what a rollout of the group is; only where attempts continued a wrong
    solution are new ones made.
    """
    continued = [case for case in cases if case.prefix_ids]
    starts = [(case.group, case.prefix_ids) for case in continued]
    without = yield from successes(starts, at, samples=samples, phase=phase)
    from_start = [case.group.pass_rate for case in cases if not case.prefix_ids]
    with_it = [sum(case.verdicts) / len(case.verdicts) for case in cases]
    return Counter(
        {
            "hint_reliance/cases": len(cases),
            "hint_reliance/with": sum(with_it),
            "hint_reliance/without": sum(without) + sum(from_start),
        }
    )


def difference(name: str, counts: Mapping[str, float], *, of: str, minus: str, over: str) -> dict[str, float]:
    """Both means and `<name>/gain`, their difference; nothing where nothing was counted."""
    n = counts.get(f"{name}/{over}", 0.0)
    if not n:
        return {}
    left, right = counts.get(f"{name}/{of}", 0.0) / n, counts.get(f"{name}/{minus}", 0.0) / n
    return {f"{name}/{over}": n, f"{name}/{of}": left, f"{name}/{minus}": right, f"{name}/gain": left - right}
