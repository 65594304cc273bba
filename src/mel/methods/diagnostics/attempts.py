"""Recovery gain and hint reliance: two successes that differ in one thing, by attempts made for the comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from mel.methods.attempts import Start, success_rates
from mel.methods.declaration import Surroundings
from mel.methods.diagnostics.cases import Hinted, Located
from mel.methods.location import before_step, through_step
from mel.ports import Requests


def recovery_counts(
    cases: Sequence[Located], at: Surroundings, *, samples: int, phase: str
) -> Requests[Mapping[str, float]]:
    """Success of continuing each wrong solution from before s* and from behind it, summed over the solutions."""
    starts = [Start(group=case.pair.group, given=before_step(case.pair, case.step, at)) for case in cases]
    starts += [Start(group=case.pair.group, given=through_step(case.pair, case.step, at)) for case in cases]
    found = yield from success_rates(starts, samples, at.rollout_sampling(), phase, at)
    n = len(cases)
    return Counter({"recovery/pairs": n, "recovery/before": sum(found[:n]), "recovery/after": sum(found[n:])})


def hint_counts(
    cases: Sequence[Hinted], at: Surroundings, *, samples: int, phase: str
) -> Requests[Mapping[str, float]]:
    """Success of the attempts with what they were given and of attempts without, summed over the cases.

    Without it, an attempt from the start is what a rollout of the group is; only where attempts continued a wrong
    solution are new ones made.
    """
    starts = [Start(group=case.group, given=case.prefix_ids) for case in cases if case.prefix_ids]
    without = yield from success_rates(starts, samples, at.rollout_sampling(), phase, at)
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
