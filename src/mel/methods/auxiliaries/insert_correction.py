"""Inserted corrections (TAPO, arXiv 2606.18844): a wrong beginning, what is wrong with it, and how it goes on right.

Unlike a hint, the wrong beginning is a context that exists at test time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from mel.methods.attempts import Start, attempts, own_groups
from mel.methods.declaration import AuxiliarySettings, Surroundings
from mel.methods.drive import completed
from mel.methods.location import before_step, through_step, unaided_pairs
from mel.methods.needs import Assumptions, Expected, Limits, Longest, Needs
from mel.ports import Auxiliary, Inspectable, Requests
from mel.prompts.ask import ask_about
from mel.requests import Generate
from mel.stages.experience import construction_turn, parse_experience
from mel.stages.guard import states_answer
from mel.stages.join import is_unaided
from mel.types import Group, MetaExperience, Outcome, Pair, Problem, Rollout, Row, Sampling, TokenIds

INSERTED_TOKENS = 64
"""What a plan adds to a diagnosis for the words around it."""


class InsertCorrectionSettings(AuxiliarySettings):
    """Which groups, how many attempts, and whether the diagnosis is learned too."""

    name: ClassVar[str] = "insert_correction"
    label: ClassVar[str] = "TAPO"
    prompts: ClassVar[tuple[str, ...]] = ("construct", "insert")
    changes_groups: ClassVar[bool] = True
    rates: ClassVar[Mapping[str, tuple[str, str]]] = {
        "parse_rate": ("parsed", "constructions"),
        "success": ("right", "attempts"),
    }

    min_right: int = Field(default=2, ge=1, description="Right rollouts that a group needs (paper: 2).")
    min_wrong: int = Field(default=4, ge=1, description="Wrong rollouts that it needs (paper: 4).")
    most: int = Field(default=4, ge=1, description="Constructions per generation batch and rank (paper: 4).")
    samples: int = Field(default=8, ge=2, description="Attempts behind each, compared among themselves (paper: 8).")
    learn_diagnosis: bool = Field(
        default=True, description="Diagnoses behind which an attempt was right are learned, behind the wrong beginning."
    )
    diagnose_max_tokens: int = Field(default=1024, ge=1, description="Limit of the text that holds a diagnosis.")

    def check(self, *, rollouts: int, problems: Sequence[Problem], inspector: Inspectable | None) -> None:
        if self.min_right + self.min_wrong > rollouts:
            raise ValueError(
                f"insert_correction: no group of {rollouts} rollouts holds {self.min_right} right and {self.min_wrong} "
                "wrong ones; lower min_right or min_wrong, or raise trainer.num_generations"
            )

    def build(self, at: Surroundings) -> Auxiliary:
        return InsertCorrection(self, at)

    def needs(self, limits: Limits) -> Needs:
        knob, inserted = "settings.diagnose_max_tokens", self.diagnose_max_tokens + INSERTED_TOKENS
        diagnose = Longest(
            phase="diagnose",
            prompt=limits.prompt + limits.instruction + 2 * limits.completion,
            completion=self.diagnose_max_tokens,
            knob=knob,
        )
        given = limits.completion + inserted
        correct, row = (
            Longest(phase=name, prompt=limits.prompt + before, completion=after, knob=knob, per_group=self.samples)
            for name, before, after in (
                ("correct", given, limits.completion),
                ("row", 0, given + limits.completion),
            )
        )
        return Needs(phases=(diagnose, correct), row=row)

    def expected(self, at: Assumptions) -> Expected:
        text = float(min(at.experience_tokens, self.diagnose_max_tokens))
        asked = at.mixed_share / 2
        count, prefix = asked * at.parsed_share * self.samples, at.prefix_share * at.solution_tokens
        return Expected(
            generated={"diagnose": asked * text, "correct": count * (at.solution_tokens - prefix)},
            sequences={"diagnose": asked, "correct": count},
            read=asked * (at.prompt_tokens + 2 * at.solution_tokens) + count * (at.prompt_tokens + prefix + text),
            rows=count,
            row_tokens=count * (at.solution_tokens + text),
            row_context=count * at.prompt_tokens,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Insertion:
    """What is inserted behind the wrong step of a pair, as tokens."""

    pair: Pair
    wrong_ids: TokenIds
    inserted_ids: TokenIds
    kept_ids: TokenIds


class InsertCorrection:
    """Adds a group of its own for every wrong solution whose error was diagnosed."""

    name = InsertCorrectionSettings.name

    def __init__(self, settings: InsertCorrectionSettings, surroundings: Surroundings) -> None:
        self.settings = settings
        self._at = surroundings

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        """The groups, behind them those of the corrections, and the diagnoses that led to one."""
        counts, size = Counter[str](groups=len(groups)), self.settings.samples
        pairs = [pair for group in groups for pair in self._pairs(group, step, counts)]
        counts.update({"skipped/too_many": more} if (more := len(pairs) - self.settings.most) > 0 else {})
        insertions = yield from self._diagnosed(pairs[: self.settings.most], counts)
        starts = [
            Start(group=one.pair.group, given=one.wrong_ids + one.inserted_ids, judged_behind=one.kept_ids)
            for one in insertions
            for _ in range(size)
        ]
        rollouts = yield from attempts(starts, self._at.rollout_sampling(), "correct", self._at)
        more = own_groups(starts, rollouts, size, counts)
        rows = self._rows(insertions, rollouts) if self.settings.learn_diagnosis else ()
        counts["rows"] += len(rows)
        return Outcome(groups=(*groups, *more), rows=rows, counts=dict(counts))

    def _pairs(self, group: Group, step: int, counts: Counter[str]) -> Sequence[Pair]:
        is_right = [rollout.verdict.is_correct for rollout in group.rollouts if is_unaided(rollout)]
        if sum(is_right) < self.settings.min_right or is_right.count(False) < self.settings.min_wrong:
            counts["skipped/group"] += 1
            return ()
        return unaided_pairs(group, self._at, step=step, per_group=1, counts=counts)

    def _diagnosed(self, pairs: Sequence[Pair], counts: Counter[str]) -> Requests[list[_Insertion]]:
        """What is inserted for each pair; diagnoses that cannot be read, or state the answer, are counted."""
        at = self._at
        prompts = tuple(ask_about(pair.group, construction_turn(pair, at.prompts), at.tokenizer) for pair in pairs)
        sampling = Sampling(max_tokens=self.settings.diagnose_max_tokens, temperature=0.0)
        written = yield from completed(Generate(prompts=prompts, sampling=sampling, phase="diagnose"))
        found: list[_Insertion] = []
        counts["constructions"] += len(pairs)
        for pair, completion in zip(pairs, written, strict=True):
            parsed = parse_experience(completion, at.prompts.sections, steps=pair.whole.wrong)
            if isinstance(parsed, MetaExperience) and states_answer(
                parsed, pair.problem.answer, step_reference=at.prompts.sections.step_reference
            ):
                parsed = "states_answer"
            if isinstance(parsed, str):
                counts[f"failure/{parsed}"] += 1
            else:
                found.append(self._insertion(pair, parsed))
        counts["parsed"] += len(found)
        return found

    def _insertion(self, pair: Pair, diagnosis: MetaExperience) -> _Insertion:
        number = diagnosis.bifurcation
        text = self._at.prompts.turn("insert", step=str(number), critique=diagnosis.critique, experience=diagnosis.text)
        return _Insertion(
            pair=pair,
            wrong_ids=through_step(pair, number, self._at),
            inserted_ids=self._at.tokenizer.encode(f"\n\n{text}\n\n"),
            kept_ids=before_step(pair, number, self._at),
        )

    def _rows(self, insertions: Sequence[_Insertion], rollouts: Sequence[Rollout]) -> tuple[Row, ...]:
        # Paper: the policy gradient of the group. Its rollouts share the diagnosis and their advantages sum to zero, so
        # that this would teach nothing of it.
        size = self.settings.samples
        return tuple(
            Row(context_ids=one.pair.group.prompt_ids + one.wrong_ids, target_ids=one.inserted_ids)
            for i, one in enumerate(insertions)
            if any(rollout.verdict.is_correct for rollout in rollouts[i * size : (i + 1) * size])
        )
