"""Meta-Experience Learning (arXiv 2602.10224, section 3): contrast, write down, replay, learn what helped."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mel.methods.auxiliaries.meta_experience.construction import Construction, construction
from mel.methods.auxiliaries.meta_experience.ledger import tally, truth_of
from mel.methods.auxiliaries.meta_experience.locating import check_localizer, confirmed, given_steps
from mel.methods.auxiliaries.meta_experience.settings import MetaExperienceSettings
from mel.methods.auxiliaries.meta_experience.trials import Trial, by_trial, refusal_of, trials_of
from mel.methods.declaration import Surroundings
from mel.methods.drive import completed, verified
from mel.ports import Requests
from mel.stages.experience import parse_experience
from mel.stages.guard import states_answer
from mel.stages.internalize import internalize
from mel.stages.pairs import select_pairs
from mel.stages.replay import judge, rejected
from mel.types import (
    Candidate,
    Completion,
    Generate,
    Group,
    Outcome,
    Pair,
    Replayed,
    Row,
    Sampling,
    Verdict,
    Verify,
)

Answers = tuple[tuple[Completion, ...], tuple[str, ...], tuple[Verdict, ...]]
"""What came back for one trial: an entry per sample."""


class MetaExperienceLearning:
    """MEL as an auxiliary: groups in, rows out, through two generate requests (construct and replay)."""

    name = MetaExperienceSettings.name

    def __init__(self, settings: MetaExperienceSettings, surroundings: Surroundings) -> None:
        self.settings = settings
        self._at = surroundings
        check_localizer(settings, surroundings)

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        """Rows of this step's kept experiences, with the ledger of every candidate."""
        counts: Counter[str] = Counter()
        pairs = self._pairs(groups, step, counts)
        asked = yield from self._ask(pairs, step, counts)
        candidates = yield from self._construct(asked)
        replayed = yield from self._replay(candidates)
        rows = self._internalize(replayed, counts)
        counts.update(tally(replayed))
        return Outcome(rows=tuple(rows), replayed=tuple(replayed), counts=dict(counts))

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

    def _construct(self, asked: Sequence[Construction]) -> Requests[list[Candidate]]:
        sampling = Sampling(
            max_tokens=self.settings.construct_max_tokens, temperature=self.settings.construct_temperature
        )
        completions = yield from completed(
            Generate(prompts=tuple(one.context_ids for one in asked), sampling=sampling, phase="construct")
        )
        return [self._candidate(one, c) for one, c in zip(asked, completions, strict=True)]

    def _candidate(self, asked: Construction, completion: Completion) -> Candidate:
        sections, pair, context_ids = self._at.prompts.sections, asked.pair, asked.context_ids
        whole = replace(completion, text=asked.opening + completion.text)
        parsed = parse_experience(whole, sections, steps=asked.shown.wrong, given=asked.step)
        if isinstance(parsed, str):
            return Candidate(pair=pair, context_ids=context_ids, completion=completion, experience=None, failure=parsed)
        if self.settings.localizer == "agreement":
            parsed = confirmed(parsed, pair, asked.shown)
        return Candidate(
            pair=pair,
            context_ids=context_ids,
            completion=completion,
            experience=parsed,
            states_answer=states_answer(parsed, pair.problem.answer, step_reference=sections.step_reference),
        )

    def _replay(self, candidates: Sequence[Candidate]) -> Requests[list[Replayed]]:
        if self.settings.filter == "none":
            # Asked for all the same: hosts count on the same requests in every step.
            yield from completed(Generate(prompts=(), sampling=self._replay_sampling(), phase="replay"))
            return [self._unfiltered(c) for c in candidates]
        n, decode = self.settings.replay_samples, self._at.tokenizer.decode
        trials = trials_of(candidates, self.settings, self._at)
        live = [trial for trial in trials if not trial.refusal]
        prompts = tuple(trial.prompt_ids for trial in live for _ in range(n))
        completions = yield from completed(Generate(prompts=prompts, sampling=self._replay_sampling(), phase="replay"))
        prefixes = [trial.prefix_ids for trial in live for _ in range(n)]
        responses = tuple(decode(prefix + c.token_ids) for prefix, c in zip(prefixes, completions, strict=True))
        problems = tuple(trial.candidate.pair.problem for trial in live for _ in range(n))
        verdicts = yield from verified(Verify(problems=problems, responses=responses))
        answers = iter(zip(by_trial(completions, n), by_trial(responses, n), by_trial(verdicts, n), strict=True))
        return [self._judged(trial, answers) for trial in trials]

    def _judged(self, trial: Trial, answers: Iterator[Answers]) -> Replayed:
        truth = truth_of(trial.candidate, self._at.inspector)
        if trial.refusal:
            return rejected(trial.candidate, trial.refusal, truth=truth)
        completions, responses, verdicts = next(answers)
        return judge(
            trial.candidate,
            trial.prefix_ids,
            completions,
            responses,
            verdicts,
            accept=self.settings.accept,
            margin=self.settings.margin,
            truth=truth,
        )

    def _replay_sampling(self) -> Sampling:
        limit = self.settings.replay_max_tokens or self._at.rollout_max_tokens
        return Sampling(max_tokens=limit, temperature=self.settings.replay_temperature)

    def _unfiltered(self, candidate: Candidate) -> Replayed:
        refusal = refusal_of(candidate, self.settings)
        truth = truth_of(candidate, self._at.inspector)
        if refusal:
            return rejected(candidate, refusal, truth=truth)
        return Replayed(candidate=candidate, prefix_ids=(), attempts=(), is_kept=True, reason="kept", truth=truth)

    def _internalize(self, replayed: Sequence[Replayed], counts: Counter[str]) -> list[Row]:
        rows: list[Row] = []
        for item in replayed:
            row = internalize(
                item,
                self._at.tokenizer,
                self._at.steps,
                target=self.settings.target,
                context=self.settings.context,
            )
            if isinstance(row, Row):
                rows.append(row)
            elif item.is_kept:
                counts[f"not_learned/{row}"] += 1
        counts["rows"] += len(rows)
        return rows
