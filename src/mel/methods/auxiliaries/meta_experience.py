"""Meta-Experience Learning (arXiv 2602.10224, section 3): contrast, write down, replay, learn what helped."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mel.methods.auxiliaries.construction import Construction, construction
from mel.methods.auxiliaries.ledger import tally
from mel.methods.auxiliaries.settings import MetaExperienceSettings
from mel.methods.requests import completed, verified
from mel.ports import Inspectable, Requests, Steps, Tokenizer
from mel.prompts import PromptSet
from mel.stages.experience import parse_experience
from mel.stages.guard import states_answer
from mel.stages.internalize import internalize
from mel.stages.pairs import select_pairs
from mel.stages.replay import judge, rejected, replay_prefix, replay_prompt, strangers
from mel.types import (
    Candidate,
    Completion,
    Generate,
    Group,
    MetaExperience,
    Outcome,
    Pair,
    Replayed,
    Row,
    Sampling,
    Verify,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What an auxiliary needs to know of the model and the task.

    Args:
        steps: the task's segmentation of a solution.
        rollout_max_tokens: completion limit of the rollouts; replays get the same unless set otherwise.
        seed: the run's seed; pair choice is seeded per (seed, step, problem).
        inspector: a task that knows true errors and rules; its counts are kept if given.
    """

    tokenizer: Tokenizer
    prompts: PromptSet
    steps: Steps
    rollout_max_tokens: int
    seed: int = 0
    inspector: Inspectable | None = None


class MetaExperienceLearning:
    """MEL as an auxiliary: groups in, rows out, through two generate requests (construct and replay)."""

    name = "meta_experience"

    def __init__(self, settings: MetaExperienceSettings, surroundings: Surroundings) -> None:
        self.settings = settings
        self._at = surroundings

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        """Rows of this step's kept experiences, with the ledger of every candidate."""
        counts: Counter[str] = Counter()
        pairs = self._pairs(groups, step, counts)
        candidates = yield from self._construct(pairs, counts)
        replayed = yield from self._replay(candidates)
        rows = self._internalize(replayed, counts)
        counts.update(tally(replayed, self._at.inspector))
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

    def _construct(self, pairs: Sequence[Pair], counts: Counter[str]) -> Requests[list[Candidate]]:
        found = [construction(pair, self._at.tokenizer, self._at.prompts, self.settings) for pair in pairs]
        asked = [one for one in found if one is not None]
        too_long, cut = len(found) - len(asked), sum(one.is_cut for one in asked)
        counts.update({"skipped/pair_too_long": too_long} if too_long else {})
        counts.update({"cut": cut} if cut else {})
        sampling = Sampling(
            max_tokens=self.settings.construct_max_tokens, temperature=self.settings.construct_temperature
        )
        completions = yield from completed(
            Generate(prompts=tuple(one.context_ids for one in asked), sampling=sampling, phase="construct")
        )
        return [self._candidate(one, c) for one, c in zip(asked, completions, strict=True)]

    def _candidate(self, asked: Construction, completion: Completion) -> Candidate:
        sections, pair, context_ids = self._at.prompts.sections, asked.pair, asked.context_ids
        parsed = parse_experience(completion, sections, steps=asked.shown.wrong)
        if isinstance(parsed, str):
            return Candidate(pair=pair, context_ids=context_ids, completion=completion, experience=None, failure=parsed)
        return Candidate(
            pair=pair,
            context_ids=context_ids,
            completion=completion,
            experience=parsed,
            states_answer=states_answer(parsed, pair.problem.answer, step_reference=sections.step_reference),
        )

    def _replay(self, candidates: Sequence[Candidate]) -> Requests[list[Replayed]]:
        if self.settings.filter == "none":
            # Asked for all the same: hosts count on two requests.
            yield from completed(Generate(prompts=(), sampling=self._replay_sampling(), phase="replay"))
            return [self._unfiltered(c) for c in candidates]
        n, tokenizer = self.settings.replay_samples, self._at.tokenizer
        trials = self._trials(candidates)
        prefixes = [replay_prefix(c, tokenizer, start=self.settings.replay_from) for c, _ in trials]
        prompts = [
            replay_prompt(c.pair.problem, experience, prefix, tokenizer, self._at.prompts)
            for (c, experience), prefix in zip(trials, prefixes, strict=True)
        ]
        completions = yield from completed(
            Generate(
                prompts=tuple(p for p in prompts for _ in range(n)), sampling=self._replay_sampling(), phase="replay"
            )
        )
        responses = [tokenizer.decode(prefixes[i // n] + c.token_ids) for i, c in enumerate(completions)]
        problems = tuple(c.pair.problem for c, _ in trials for _ in range(n))
        verdicts = yield from verified(Verify(problems=problems, responses=tuple(responses)))
        judged = {
            id(candidate): judge(
                candidate,
                prefixes[i],
                completions[i * n : i * n + n],
                responses[i * n : i * n + n],
                verdicts[i * n : i * n + n],
                accept=self.settings.accept,
                margin=self.settings.margin,
            )
            for i, (candidate, _) in enumerate(trials)
        }
        return [judged.get(id(c)) or rejected(c, self._refusal(c) or "no_other_problem") for c in candidates]

    def _trials(self, candidates: Sequence[Candidate]) -> list[tuple[Candidate, MetaExperience]]:
        """The candidates to replay, each with the experience to replay it with: its own, unless they are shuffled."""
        live = [c for c in candidates if not self._refusal(c)]
        shown = strangers(live) if self.settings.filter == "shuffled" else [c.experience for c in live]
        return [(c, experience) for c, experience in zip(live, shown, strict=True) if experience is not None]

    def _replay_sampling(self) -> Sampling:
        limit = self.settings.replay_max_tokens or self._at.rollout_max_tokens
        return Sampling(max_tokens=limit, temperature=self.settings.replay_temperature)

    def _refusal(self, candidate: Candidate) -> str:
        """Why a candidate is not replayed; empty if it is."""
        leaks = candidate.states_answer and self.settings.guard == "reject"
        return candidate.failure or ("states_answer" if leaks else "")

    def _unfiltered(self, candidate: Candidate) -> Replayed:
        refusal = self._refusal(candidate)
        return Replayed(candidate=candidate, prefix_ids=(), attempts=(), is_kept=not refusal, reason=refusal or "kept")

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
