"""Meta-Experience Learning (arXiv 2602.10224, section 3): contrast, write down, replay, learn what helped."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence

from mel.methods.auxiliaries.meta_experience.construction import Construction, construction
from mel.methods.auxiliaries.meta_experience.gate import Gate
from mel.methods.auxiliaries.meta_experience.ledger import tally
from mel.methods.auxiliaries.meta_experience.locating import given_steps
from mel.methods.auxiliaries.meta_experience.settings import MetaExperienceSettings
from mel.methods.auxiliaries.meta_experience.trials import replayed as replays_of
from mel.methods.auxiliaries.meta_experience.writing import candidates_of
from mel.methods.declaration import Surroundings
from mel.methods.location import check_locator
from mel.ports import Requests
from mel.stages.internalize import distilled, internalize, reinforced
from mel.stages.pairs import select_pairs
from mel.types import Group, Outcome, Pair, Replayed, Row


class MetaExperienceLearning:
    """MEL as an auxiliary: groups in, rows out, through two generate requests (construct and replay)."""

    name = MetaExperienceSettings.name

    def __init__(self, settings: MetaExperienceSettings, surroundings: Surroundings) -> None:
        self.settings = settings
        self._at = surroundings
        self._gate = Gate.of(settings)
        check_locator(settings.localizer, surroundings.inspector, self.name)

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        """Rows of this step's kept experiences, with the ledger of every candidate."""
        counts: Counter[str] = Counter()
        pairs = self._pairs(groups, step, counts)
        asked = yield from self._ask(pairs, step, counts)
        candidates = yield from candidates_of(asked, self.settings, self._at)
        replayed = yield from replays_of(candidates, groups, self.settings, self._at)
        rows = self._internalize(replayed, counts)
        counts.update(tally(replayed))
        return Outcome(rows=tuple(rows), replayed=tuple(replayed), counts={**counts, **self._gate.counts(replayed)})

    def hear(self, counts: Mapping[str, float]) -> None:
        """What was counted of a batch over all ranks; the gate decides the next one by it."""
        self._gate.hear(counts)

    def state(self) -> dict[str, float]:
        """What a checkpoint must hold of it."""
        return dict(self._gate.sums)

    def restore(self, state: Mapping[str, float]) -> None:
        """Goes on from the state of a checkpoint."""
        self._gate.sums |= state

    def _pairs(self, groups: Sequence[Group], step: int, counts: Counter[str]) -> list[Pair]:
        pairs: list[Pair] = []
        for group in groups:
            selection = select_pairs(
                group,
                self._at.steps,
                per_group=self.settings.pairs_per_group,
                choose=self.settings.choose,
                rng=random.Random(f"{self._at.seed}:{step}:{group.problem.id}"),
            )
            pairs += selection.pairs
            counts["groups"] += 1
            counts.update({f"skipped/{reason}": n for reason, n in selection.skipped.items()})
        return pairs

    def _ask(self, pairs: Sequence[Pair], step: int, counts: Counter[str]) -> Requests[list[Construction]]:
        """What is asked about each pair; pairs without a step to blame, or too long, are counted and left out."""
        steps: Sequence[int | None] = [None] * len(pairs)
        if self.settings.is_step_given:
            steps = yield from given_steps(pairs, self.settings, self._at, step=step, counts=counts)
            counts.update({"skipped/not_located": n} if (n := steps.count(None)) else {})
            pairs = [pair for pair, s in zip(pairs, steps, strict=True) if s is not None]
            steps = [s for s in steps if s is not None]
        found = [
            construction(pair, self._at.tokenizer, self._at.prompts, self.settings, step=s)
            for pair, s in zip(pairs, steps, strict=True)
        ]
        asked = [one for one in found if one is not None]
        too_long, cut = len(found) - len(asked), sum(one.is_cut for one in asked)
        counts.update({"skipped/pair_too_long": too_long} if too_long else {})
        counts.update({"cut": cut} if cut else {})
        return asked

    def _internalize(self, replayed: Sequence[Replayed], counts: Counter[str]) -> list[Row]:
        rows: list[Row] = []
        for item in replayed:
            found = self._rows(item)
            if isinstance(found, str):
                counts.update({f"not_learned/{found}": 1} if item.is_kept else {})
            else:
                rows += found
        if self._gate.is_closed:
            counts.update({"not_learned/gate_closed": len(rows)} if rows else {})
            rows = []
        counts["rows"] += len(rows)
        return rows

    def _rows(self, item: Replayed) -> tuple[Row, ...] | str:
        """The rows of one replayed candidate by the objective, or why there are none."""
        s = self.settings
        if s.objective == "policy_gradient":
            row = reinforced(item)
            return "not_replayed" if row is None else (row,)
        rows = internalize(item, self._at.tokenizer, self._at.steps, target=s.target, context=s.context)
        if s.objective == "nll" or isinstance(rows, str):
            return rows
        return tuple(distilled(row, item, divergence=s.divergence, top_k=s.top_k) for row in rows)
