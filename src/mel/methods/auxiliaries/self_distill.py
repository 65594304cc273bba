"""Self-distillation (SDPO, arXiv 2601.20802): the policy learns what it would say with a right rollout before its eyes.

Ungated it falls below GRPO and collapses within a hundred steps (arXiv 2605.11609, 2605.16302), so it is gated here:
only on wrong rollouts (arXiv 2604.02288), and only where the right one tells the policy more against them than another
wrong one does (the contrast of RLCSD, arXiv 2606.11709).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from pydantic import Field

from mel.methods.declaration import AuxiliarySettings, Surroundings
from mel.methods.drive import scored
from mel.methods.needs import Assumptions, Expected, Limits, Longest, Needs
from mel.ports import Auxiliary, Requests
from mel.prompts.ask import ask_about
from mel.requests import Score
from mel.stages.join import is_unaided, shortest_right
from mel.types import Divergence, Group, Outcome, Reference, Rollout, Row, TokenIds

Gate = Literal["informed", "wrong", "none"]


class SelfDistillSettings(AuxiliarySettings):
    """From whom, by which measure, and where not."""

    name: ClassVar[str] = "self_distill"
    label: ClassVar[str] = "SDPO"
    prompts: ClassVar[tuple[str, ...]] = ("sibling",)
    rates: ClassVar[Mapping[str, tuple[str, str]]] = {"distilled_share": ("rows", "candidates")}
    belongs_to: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = {"margin": ("gate", ("informed",))}

    gate: Gate = Field(
        default="informed",
        description="informed: wrong rollouts that the policy finds less likely with a right one in its prompt than "
        "with another wrong one. wrong: all wrong ones with a right sibling. none: right ones too (paper), a control.",
    )
    margin: float = Field(
        default=0.0, ge=0, description="By how much less likely, in nats per token, for gate: informed."
    )
    divergence: Divergence = Field(default="jsd", description="jsd (paper), forward_kl or reverse_kl.")
    top_k: int | None = Field(
        default=100, ge=1, description="Likeliest tokens of the teacher that are compared (paper: 100); None: all."
    )

    def build(self, at: Surroundings) -> Auxiliary:
        return SelfDistill(self, at)

    def needs(self, limits: Limits) -> Needs:
        # The teacher's sequence is the longer one: it holds the right rollout too.
        teacher = limits.prompt + limits.instruction + limits.completion
        row = Longest(
            phase="row",
            prompt=teacher,
            completion=limits.completion,
            knob="settings.gate",
            per_group=limits.rollouts,
        )
        # Behind a wrong sibling and behind a right one.
        gate = replace(row, phase="gate", per_group=2 * limits.rollouts)
        return Needs(row=row, scored=(gate,) if self.gate == "informed" else ())

    def expected(self, at: Assumptions) -> Expected:
        wrong = at.rollouts * (1.0 if self.gate == "none" else 0.5)
        rows = at.mixed_share * wrong * (at.kept_share if self.gate == "informed" else 1.0)
        return Expected(rows=rows, row_tokens=rows * at.solution_tokens, row_context=rows * at.prompt_tokens)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lesson:
    """A rollout, what student and teacher read before it, and what the teacher would read if it were misinformed."""

    rollout: Rollout
    student_ids: TokenIds
    teacher_ids: TokenIds
    misled_ids: TokenIds


class SelfDistill:
    """One `distill` row per rollout that passes the gate; nothing is generated."""

    name = SelfDistillSettings.name

    def __init__(self, settings: SelfDistillSettings, surroundings: Surroundings) -> None:
        self.settings = settings
        self._at = surroundings

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        """Rows of the rollouts that a right sibling has something to say about."""
        counts: Counter[str] = Counter(groups=len(groups))
        lessons = [lesson for group in groups for lesson in self._lessons(group, counts)]
        counts["candidates"] += len(lessons)
        if self.settings.gate == "informed":
            compared = [lesson for lesson in lessons if lesson.misled_ids]
            counts["skipped/no_peer"] += len(lessons) - len(compared)
            lessons = yield from self._informed(compared)
            counts["skipped/not_informed"] += len(compared) - len(lessons)
        counts["rows"] += len(lessons)
        return Outcome(rows=tuple(map(self._row, lessons)), counts=dict(counts))

    def _lessons(self, group: Group, counts: Counter[str]) -> list[_Lesson]:
        found: list[_Lesson] = []
        for rollout in group.rollouts:
            if rollout.verdict.is_correct and self.settings.gate != "none":
                continue
            sibling, peer = shortest_right(group, other_than=rollout), _wrong_peer(group, rollout)
            reason = _refusal(rollout, sibling)
            if sibling is None or reason:
                counts[f"skipped/{reason}"] += 1
                continue
            lesson = _Lesson(
                rollout=rollout,
                student_ids=group.prompt_ids,
                teacher_ids=self._shown(group, sibling),
                misled_ids=self._shown(group, peer) if peer else (),
            )
            found.append(lesson)
        return found

    def _shown(self, group: Group, sibling: Rollout) -> TokenIds:
        turn = self._at.prompts.turn("sibling", problem=group.problem.text, right=sibling.text)
        return ask_about(group, turn, self._at.tokenizer)

    def _informed(self, lessons: Sequence[_Lesson]) -> Requests[list[_Lesson]]:
        """Those less likely, per token, behind a right sibling than behind a wrong one by more than the margin.

        Not less likely than without any: of its own samples a policy finds nearly all less likely in another context.
        """
        targets = tuple(lesson.rollout.token_ids for lesson in lessons)
        contexts = (*(lesson.misled_ids for lesson in lessons), *(lesson.teacher_ids for lesson in lessons))
        logps = yield from scored(Score(contexts=contexts, targets=targets * 2, phase="gate"))
        means = [sum(of_one) / len(of_one) for of_one in logps]
        gaps = [misled - informed for misled, informed in zip(means, means[len(lessons) :], strict=False)]
        return [lesson for lesson, gap in zip(lessons, gaps, strict=True) if gap > self.settings.margin]

    def _row(self, lesson: _Lesson) -> Row:
        reference = Reference(
            context_ids=lesson.teacher_ids, divergence=self.settings.divergence, top_k=self.settings.top_k
        )
        return Row(
            context_ids=lesson.student_ids, target_ids=lesson.rollout.token_ids, term="distill", reference=reference
        )


def _wrong_peer(group: Group, rollout: Rollout) -> Rollout | None:
    """The first other wrong rollout that reads otherwise; one that reads alike would make it likely by itself."""
    peers = (r for r in group.rollouts if not r.verdict.is_correct and is_unaided(r) and not r.is_truncated)
    return next((peer for peer in peers if peer.text != rollout.text), None)


def _refusal(rollout: Rollout, sibling: Rollout | None) -> str:
    """Why nothing is learned of this rollout; empty if something is."""
    if sibling is None:
        return "no_sibling"
    if not is_unaided(rollout) or not rollout.token_ids:
        return "given"
    return "truncated" if rollout.is_truncated else ""
