"""A run's measures over one generation batch: what they ask, and the metrics that come of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from mel.methods.declaration import Surroundings
from mel.methods.diagnostics.attempts import difference, hint_counts, recovery_counts
from mel.methods.diagnostics.cases import Located, hinted_cases, located_cases
from mel.methods.diagnostics.divergence import kl_counts, kl_metrics
from mel.methods.diagnostics.localization import localization_counts, localization_metrics
from mel.methods.diagnostics.settings import DiagnosticsSettings
from mel.ports import Requests
from mel.types import Group, Outcome


class Diagnosis:
    """The measures of a run that read text; gradients are compared by the host, which alone has them.

    Raises:
        ValueError: a measure that such a task cannot serve.
    """

    def __init__(self, settings: DiagnosticsSettings, at: Surroundings, *, has_auxiliaries: bool) -> None:
        settings.check(has_auxiliaries=has_auxiliaries, inspector=at.inspector)
        self.settings = settings
        self._at = at

    def is_due(self, step: int) -> bool:
        """Whether the generation batch that is first used in that optimizer step, from 1, is looked at."""
        return self.settings.reads_text and (step - 1) % self.settings.every == 0

    def measure(
        self, groups: Sequence[Group], outcomes: Mapping[str, Outcome], *, step: int
    ) -> Requests[Mapping[str, float]]:
        """Counts of this rank, to be summed over ranks; the same requests in the same order whatever the groups hold.

        Args:
            groups: as the host rolled them out.
            outcomes: what each auxiliary handed back, by its name.
            step: 1-based number of the optimizer step.
        """
        wanted, limits = self.settings.measures, {"samples": self.settings.samples, "phase": self.settings.name}
        counts: Counter[str] = Counter()
        cases = located_cases(groups, outcomes, self._at, step=step)
        if "localization" in wanted and self._at.inspector is not None:
            counts.update(localization_counts(cases, self._at.inspector))
        if "initial_kl" in wanted:
            counts.update((yield from kl_counts(groups, phase=self.settings.name)))
        if "recovery" in wanted:
            chosen = _one_per_problem(cases)[: self.settings.pairs]
            counts.update((yield from recovery_counts(chosen, self._at, **limits)))
        if "hint_reliance" in wanted:
            hinted = hinted_cases(groups, outcomes)[: self.settings.pairs]
            counts.update((yield from hint_counts(hinted, self._at, **limits)))
        return counts

    def metrics(self, counts: Mapping[str, float]) -> dict[str, float]:
        """Metric path -> value, out of the counts of all ranks; a value with nothing to count is left out."""
        found = localization_metrics(counts) | kl_metrics(counts)
        found |= difference("recovery", counts, of="before", minus="after", over="pairs")
        found |= difference("hint_reliance", counts, of="with", minus="without", over="cases")
        return {f"{self.settings.name}/{name}": value for name, value in found.items()}


def _one_per_problem(cases: Sequence[Located]) -> list[Located]:
    """The first case of every problem: several of one problem say little more than one."""
    return list({case.pair.problem.id: case for case in reversed(cases)}.values())[::-1]
