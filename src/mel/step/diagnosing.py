"""The diagnosis of a generation batch: asked behind everything that the method asks, and counted apart from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter

from mel.methods import Method
from mel.ports import Requests
from mel.step.accounting import Accounting
from mel.step.ranks import Ranks, sum_counts
from mel.types import Group, Outcome

TOKENS, SECONDS = "tokens/diagnostics", "time_s/diagnostics"


def diagnose(
    method: Method,
    groups: Sequence[Group],
    outcomes: Mapping[str, Outcome],
    *,
    step: int,
    answer: Callable[[Requests[Mapping[str, float]]], Mapping[str, float]],
    ranks: Ranks,
) -> dict[str, float]:
    """What the method's diagnosis says of this batch, over all ranks; nothing without one.

    Its tokens are of a kind of their own, no part of `tokens/generated`: runs are compared at equal tokens of
    training. A batch that is not looked at counts with 0 of them, so that their mean over batches is the cost.

    Args:
        groups: of this rank, as the host rolled them out.
        step: 1-based number of the optimizer step that this batch is first used in.
    """
    diagnosis = method.diagnosis
    if diagnosis is None or not diagnosis.settings.reads_text:
        return {}
    if not diagnosis.is_due(step):
        return {TOKENS: 0.0} if diagnosis.settings.generates else {}
    begin, accounting = perf_counter(), Accounting()
    counts = answer(accounting.watch(diagnosis.measure(groups, outcomes, step=step)))
    reports = ranks.all_of((dict(counts), sum(accounting.tokens.values()), perf_counter() - begin))
    found = diagnosis.metrics(sum_counts(of_rank for of_rank, _, _ in reports))
    found[SECONDS] = max(seconds for _, _, seconds in reports)
    if diagnosis.settings.generates:
        found[TOKENS] = float(sum(tokens for _, tokens, _ in reports))
    return found
